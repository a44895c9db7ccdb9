"""A script's session, live: what it shows is what it decodes."""

import asyncio

import pytest

import perceptogram
from configs.errors import InputError
from tests.support.simulated import session_config

pytestmark = [pytest.mark.processes, pytest.mark.slow]


def test_what_is_shown_is_what_is_decoded(live_participant, tmp_path):
    config, bundle = live_participant.config, live_participant.bundle
    pictures = perceptogram.choose_pictures(perceptogram.open_pictures(config.pictures, "test"), 4, seed=0)

    async def script():
        session = perceptogram.Session(
            config, bundle, out=tmp_path, show_pictures=True, headless=True, candidates=pictures
        )
        async with session:
            painted, told = [], []
            frames = asyncio.create_task(_collect(session.frames(), painted))
            percepts = asyncio.create_task(_collect(session.percepts(), told))
            await session.settled()
            answers = [await session.show(picture) for picture in pictures]
            again = await session.show(pictures[0])
            await session.pause()
            assert await session.show(pictures[1]) is None
            await session.resume()
            with pytest.raises(ValueError, match="not in the set"):
                await session.show("no such picture")
        await asyncio.gather(frames, percepts)
        return session, answers, again, painted, told

    session, answers, again, painted, told = asyncio.run(script())
    assert [answer.picture for answer in answers] == list(pictures)
    assert again.repeats == 2
    assert [one.trial for one in told] == [*(answer.trial for answer in answers), again.trial]
    assert {frame.trial for frame in painted} <= {one.trial for one in told}
    assert any(frame.final for frame in painted)
    assert -1 <= session.likeness(again, pictures[0]) <= 1
    assert session.summary["n_trials"] == 5
    assert session.summary["refused"] == 1
    assert (tmp_path / "recording.xdf").stat().st_size > 10_000
    assert (tmp_path / "percepts.jsonl").read_text().count("\n") >= 6


def test_a_plain_loop_hears_percepts(live_participant):
    config, bundle = live_participant.config, live_participant.bundle
    pictures = perceptogram.choose_pictures(perceptogram.open_pictures(config.pictures, "test"), 2, seed=1)
    with perceptogram.Session(config, bundle, show_pictures=True, headless=True, render=False) as session:
        asyncio.run(session.settled())
        percepts = iter(session)
        answers = [session.show_and_wait(picture) for picture in pictures]
        heard = [next(percepts) for _ in pictures]
        session.stop()
        assert list(percepts) == []
    assert [percept.picture for percept in heard] == list(pictures)
    assert [percept.trial for percept in heard] == [answer.trial for answer in answers]
    assert list(session) == []
    with pytest.raises(ValueError, match=r"no stimulus window|has ended"):
        session.show_and_wait(pictures[0])


def test_a_session_that_cannot_begin_says_why(live_participant):
    absent = session_config("absent", stream={"name": "absent EEG", "timeout_s": 0.5})
    with pytest.raises(InputError, match="absent EEG"):
        perceptogram.Session(absent, live_participant.bundle, render=False).__enter__()


async def _collect(items, into):
    async for item in items:
        into.append(item)
