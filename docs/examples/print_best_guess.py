"""Print what is being seen, guess by guess, while another program shows the pictures.

python docs/examples/print_best_guess.py --config demo --bundle out/demo/bundle
"""

from __future__ import annotations

import argparse
from itertools import islice

import perceptogram


def main() -> None:
    """Listen until the stream ends, Ctrl-C, or enough percepts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--percepts", type=int, help="stop after this many")
    a = parser.parse_args()
    with perceptogram.Session(a.config, a.bundle, render=False) as session:
        print("listening", flush=True)
        for percept in islice(session, a.percepts):
            best = percept.neighbours[0]
            sure = "" if percept.confidence is None else f", sure to {percept.confidence:.0%}"
            print(f"shown {percept.picture}: looks like {best.label} ({best.name}), look {percept.repeats}{sure}")


if __name__ == "__main__":
    main()
