"""A child that reports as often as it is told to, then waits for its end."""

import sys

from stimuli.child import STOP, commands, report

if __name__ == "__main__":
    heard = commands()
    for number in range(1, int(sys.argv[1]) + 1):
        report("progress", shown=number, about="x" * 1000)
        if number == 100:
            report("halfway")
            while heard.get() != "go on":
                pass
    report("finished")
    while heard.get() != STOP:
        pass
