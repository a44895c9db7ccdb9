"""Hearing a presenter's markers as a recorder does."""

from stimuli.markers import read_marker


class Ear:
    """An inlet on a presenter's markers, open before the presenter begins."""

    def __init__(self, source_id):
        import pylsl

        (info,) = pylsl.resolve_byprop("source_id", source_id, timeout=60)
        self.type, self.inlet = info.type(), pylsl.StreamInlet(info)
        self.inlet.open_stream(timeout=60)

    def hear(self, until, count=1):
        """Return every marker up to number `count` of the kind `until`."""
        markers = []
        while sum(marker.kind == until for marker in markers) < count:
            sample, timestamp = self.inlet.pull_sample(timeout=60)
            assert sample is not None, f"no marker {until!r} after {[marker.kind for marker in markers]}"
            markers.append(read_marker(sample[0], timestamp))
        return markers
