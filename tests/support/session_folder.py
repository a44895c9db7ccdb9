"""The folder that a session leaves behind, made up: three looks at two pictures."""

import json

import pytest
from PIL import Image

SEEN = [("cat-1", 0.4, 0.9, 0.2), ("dog-1", 0.8, 0.7, 0.6), ("cat-1", 0.6, 1.0, 0.4)]


def logged(trial, name, confidence, two_way, before):
    at = 1000.0 + trial
    return {
        "trial": trial,
        "picture": name,
        "neighbours": [{"name": name, "label": name.split("-")[0], "similarity": 0.5}],
        "confidence": confidence,
        "repeats": 1 + trial // 2,
        "two_way": two_way,
        "pre_stimulus_two_way": before,
        "flags": [],
        "ledger": {
            "onset": at - 0.8,
            "arrived": at,
            "embedding": at + 0.001,
            "requested": at,
            "final_picture": at + 0.4,
        },
        "file": f"pictures/{trial:04d}-{name}.png",
    }


@pytest.fixture
def session_folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    lines = []
    for trial, seen in enumerate(SEEN):
        lines.append(logged(trial, *seen))
        Image.new("RGB", (536, 297), (60 * trial, 90, 90)).save(tmp_path / lines[-1]["file"])
    lines.insert(1, {"trial": 0, "ledger": {"shown": 1000.5}})
    lines.insert(3, {"stamp": 1001.7, "notice": "lost", "text": "the renderer died"})
    lines.append({"trial": 3, "picture": "dog-1", "refused": "12 samples lost"})
    (tmp_path / "percepts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "summary.json").write_text(json.dumps({"simulated": True, "candidates": 20}))
    return tmp_path
