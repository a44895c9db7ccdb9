"""The numbers of the live time axis, each with its unit and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AxisSettings:
    """What the live time axis is tuned by.

    "Bound" is what the project asks of a time axis, "devices" what is known of amplifiers, radios and LSL, and "chosen"
    what did best on development seeds of random senders.

    Attributes
    ----------
    block_s
        Seconds of samples between two looks at the timestamps. Bound: a look is much shorter than a window.
    line_s
        Longest line, in seconds; halved up to four times where timestamps do not lie straight. Devices: crystals hold
        still for so long.
    rate_spread
        Standard deviation of true about nominal rates, as a share. Devices: crystals and a margin.
    steepest
        Largest change of rate to reckon with, as a share; what falls behind faster waits in a queue. Devices.
    rate_tolerance
        Share by which a nominal rate is off before it is reported. Bound: a millisecond a second.
    certain
        Nats at which a shift within the jitter is looked into. Chosen.
    far
        Pinball loss, in units of its mean, of a timestamp that is no jitter. Chosen.
    quiet_s
        Seconds for which timestamps must lie level before it is told what happened, doubled up to three times. Chosen.
    start_s
        The same for the first line, doubled up to twice. Chosen.
    fewest
        Timestamps that a level is told from at least. Chosen.
    hold_s
        Seconds for which samples are held at most; after four times that the line is laid anew. Bound: a picture later
        than this is of no use.
    patience_s
        Seconds for which it is waited until samples can be counted, and twice that until one explanation wins. Chosen.
    rate_s
        Seconds of timestamps that a changed rate is read from. Chosen.
    before_s
        Seconds before a shift from which the age of samples is known, and within which a line is brought to where ages
        say that timestamps lie on average. Chosen.
    clocks_s
        Error of clocks in seconds, beside what is seen to scatter. Devices: LSL between two machines on a wire.
    unlikely
        Squared standard deviations by which a loss and a clock step at once must explain better than either. Chosen.
    margin
        Squared standard deviations by which the second best explanation must be worse before the best is certain.
        Bound: three standard deviations; it trades epochs that are refused for epochs that are wrong.
    tolerable_s
        Error of an epoch's time that is none, in seconds. Bound: no wave of an evoked response is shorter.
    burst_s
        Lateness of timestamps that is worth a report, in seconds; of arrivals, five times that. Devices: a radio's
        repeats are shorter.
    foreign_s
        Distance from the LSL clock at which timestamps must be another clock's, in seconds. Devices.
    """

    block_s: float = 0.05
    line_s: float = 20.0
    rate_spread: float = 5e-4
    steepest: float = 0.03
    rate_tolerance: float = 1e-3
    certain: float = 18.0
    far: float = 10.0
    quiet_s: float = 0.35
    start_s: float = 1.0
    fewest: int = 4
    hold_s: float = 2.0
    patience_s: float = 1.5
    rate_s: float = 1.2
    before_s: float = 6.0
    clocks_s: float = 1e-4
    unlikely: float = 30.0
    margin: float = 9.0
    tolerable_s: float = 4e-3
    burst_s: float = 0.05
    foreign_s: float = 60.0

    @property
    def sure(self) -> float:
        """Standard deviations of the margin."""
        return float(self.margin**0.5)

    @property
    def offset_s(self) -> float:
        """Largest change of a clock offset measured anew, in seconds; a larger step ends the epochs over it."""
        return 2 * self.tolerable_s

    @property
    def lines_s(self) -> tuple[float, ...]:
        """Lengths of lines in seconds, the longest first."""
        return tuple(self.line_s / 2**halved for halved in range(5))

    @property
    def quiets_s(self) -> tuple[float, ...]:
        """Seconds for which timestamps lie level, the longest first."""
        return tuple(self.quiet_s * 2**doubled for doubled in reversed(range(4)))

    @property
    def starts_s(self) -> tuple[float, ...]:
        """Lengths of first lines in seconds, the shortest first."""
        return tuple(self.start_s * 2**doubled for doubled in range(3))


DEFAULT = AxisSettings()
