"""Small EDF, BDF, BrainVision and EEGLAB files, written byte by byte, so that tests know what must be read."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Wave:
    """A signal of an EDF or BDF file: `values` in its unit, `rate` samples a record of one second."""

    label: str
    values: np.ndarray
    unit: str = "uV"
    rate: int = 250
    high: float = 3276.7


@dataclass
class Remarks:
    """Texts with onset and duration in seconds, each in the record in which it begins."""

    notes: list[tuple[float, float, bytes]] = field(default_factory=list)
    starts: list[float] | None = None


def edf_bytes(waves, remarks=None, kind="", bdf=False, records=None):
    """Return a file with records of one second; `kind` is EDF+C, EDF+D or nothing; values are rounded to 0.1."""
    width = 3 if bdf else 2
    size = 1 << (8 * width - 1)
    n = len(waves[0].values) // waves[0].rate
    step = [wave.high / (size - 1) if wave.label != "Status" else 1.0 for wave in waves]
    stored = [np.rint(np.asarray(wave.values) / s).astype("<i4") for wave, s in zip(waves, step, strict=True)]
    lines = []
    if remarks is not None:
        starts = remarks.starts or [float(k) for k in range(n)]
        for k in range(n):
            end = starts[k + 1] if k + 1 < n else np.inf
            texts = [note for note in remarks.notes if starts[k] <= note[0] < end]
            line = b"%+f\x14\x14\0" % starts[k]
            for onset, duration, said in texts:
                line += b"%+f%s\x14%s\x14\0" % (onset, b"\x15%f" % duration if duration else b"", said)
            lines.append(line)
        length = -(-max(map(len, lines)) // width) * width
        lines = [line.ljust(length, b"\0") for line in lines]
    least = [-size * s for s in step]
    most = [(size - 1) * s for s in step]
    rows = [
        (wave.label, wave.unit, f"{low:.8g}"[:8], f"{high:.8g}"[:8], wave.rate)
        for wave, low, high in zip(waves, least, most, strict=True)
    ]
    if lines:
        rows.append(("BDF Annotations" if bdf else "EDF Annotations", "", "-1", "1", len(lines[0]) // width))
    start = 256 * (1 + len(rows))
    fixed = [("\xffBIOSEMI" if bdf else "0", 8), ("X", 80), ("X", 80), ("01.01.26", 8), ("00.00.00", 8), (start, 8)]
    fixed += [(kind, 44), (n if records is None else records, 8), (1, 8), (len(rows), 4)]
    columns = [([row[0] for row in rows], 16), ([""] * len(rows), 80), ([row[1] for row in rows], 8)]
    columns += [([row[2][:8] for row in rows], 8), ([row[3][:8] for row in rows], 8)]
    columns += [([-size] * len(rows), 8), ([size - 1] * len(rows), 8), ([""] * len(rows), 80)]
    columns += [([row[4] for row in rows], 8), ([""] * len(rows), 32)]
    head = [(value, length) for value, length in fixed]
    head += [(value, length) for values, length in columns for value in values]
    content = b"".join(str(value).encode("latin-1").ljust(length) for value, length in head)
    for k in range(n):
        for wave, values in zip(waves, stored, strict=True):
            record = values[k * wave.rate : (k + 1) * wave.rate]
            content += record.view("u1").reshape(-1, 4)[:, :width].tobytes()
        content += lines[k] if lines else b""
    return content


def write_brainvision(path, values, markers, rate=250, units=("µV",), names=("Fz",)):
    """Write float32 ``[samples, channels]`` and the lines of the marker file that stand behind ``Mk1=``."""
    values.astype("<f4").tofile(path.with_suffix(".eeg"))
    head = "Brain Vision Data Exchange {} File, Version 1.0\n[Common Infos]\nCodepage=UTF-8\nDataFile={}\n"
    lines = "".join(f"Mk{number}={line}\n" for number, line in enumerate(markers, start=1))
    file = head.format("Marker", path.with_suffix(".eeg").name) + "[Marker Infos]\n" + lines
    path.with_suffix(".vmrk").write_text(file, encoding="utf-8")
    channels = "".join(
        f"Ch{k}={name},,1,{unit}\n" for k, (name, unit) in enumerate(zip(names, units, strict=True), start=1)
    )
    path.write_text(
        head.format("Header", path.with_suffix(".eeg").name).replace("Header File,", "Header File")
        + f"MarkerFile={path.with_suffix('.vmrk').name}\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        f"NumberOfChannels={values.shape[1]}\nSamplingInterval={1e6 / rate:g}\n[Binary Infos]\n"
        f"BinaryFormat=IEEE_FLOAT_32\n[Channel Infos]\n{channels}",
        encoding="utf-8",
    )
    return path


def eeglab_content(values, events, rate=250.0, labels=("Fz", "Cz")):
    """Return the content of a ``.set`` file for `values` ``[channels, samples]``; `events` are dictionaries."""
    fields = sorted({key for event in events for key in event})
    table = np.array(
        [tuple(event.get(key, []) for key in fields) for event in events], [(key, object) for key in fields]
    )
    return {
        "setname": "x",
        "filename": "x",
        "nbchan": float(len(values)),
        "trials": 1.0,
        "pnts": float(values.shape[1]),
        "srate": rate,
        "xmin": 0.0,
        "xmax": values.shape[1] / rate,
        "times": [],
        "data": values.astype("f4"),
        "chanlocs": np.array([(label,) for label in labels], [("labels", object)]),
        "event": table,
        "urevent": [],
        "epoch": [],
        "ref": "",
        "icawinv": [],
        "icasphere": [],
        "icaweights": [],
        "icaact": [],
        "chaninfo": {"plotrad": [], "nosedir": "+X"},
        "etc": {},
        "comments": "",
        "history": "",
    }


def write_eeglab(path, values, events, rate=250.0, labels=("Fz", "Cz")):
    """Write a ``.set`` file of MATLAB 5, as EEGLAB does for small recordings."""
    from scipy.io import savemat

    savemat(path, {"EEG": eeglab_content(values, events, rate, labels)}, appendmat=False)
    return path


def write_eeglab_hdf5(path, values, events, rate=250.0, labels=("Fz", "Cz")):
    """Write a ``.set`` file of MATLAB 7.3, as EEGLAB does for large recordings: HDF5 behind MATLAB's own 512 bytes."""
    import h5py

    with h5py.File(path, "w", userblock_size=512) as file:
        references = file.create_group("#refs#")

        def put(group, name, value):
            if isinstance(value, str):
                data = np.array([[ord(letter)] for letter in value] or [[0, 0]], np.uint16)
                kind = b"char"
            else:
                data, kind = np.atleast_2d(np.asarray(value, np.float64)).T, b"double"
            made = group.create_dataset(name, data=data)
            made.attrs["MATLAB_class"] = np.bytes_(kind)
            if isinstance(value, str) and not value:
                made.attrs["MATLAB_empty"] = np.uint8(1)
            return made

        def refer(group, name, values):
            made = group.create_dataset(name, (len(values), 1), h5py.ref_dtype)
            for row, value in enumerate(values):
                made[row, 0] = put(references, f"v{len(references)}", value).ref

        eeg = file.create_group("EEG")
        eeg.attrs["MATLAB_class"] = np.bytes_(b"struct")
        for name, value in eeglab_content(values, events, rate, labels).items():
            if isinstance(value, str):
                put(eeg, name, value)
            elif isinstance(value, float):
                put(eeg, name, [value])
        data = eeg.create_dataset("data", data=values.T.astype("f4"))
        data.attrs["MATLAB_class"] = np.bytes_(b"single")
        for name, rows in (("event", events), ("chanlocs", [{"labels": label} for label in labels])):
            group = eeg.create_group(name)
            group.attrs["MATLAB_class"] = np.bytes_(b"struct")
            for key in rows[0]:
                refer(group, key, [row[key] for row in rows])
    content = bytearray(path.read_bytes())
    content[:128] = (
        b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created by a test HDF5 schema 1.00 .".ljust(116)
        + bytes(8)
        + b"\0\2IM"
    )
    path.write_bytes(bytes(content))
    return path
