import pytest

from configs.schema import WebSettings
from realtime.web.access import COOKIE, Access
from realtime.web.door import TOKEN, WebError, open_door

SECRET = "correct horse battery"
HERE = {"host": "127.0.0.1:8420"}


@pytest.mark.parametrize(
    ("more", "refusal"),
    [
        ({}, None),
        ({"host": "localhost:8420"}, None),
        ({"host": "[::1]:8420"}, None),
        ({"host": "localhost:9999"}, None),  # through a tunnel
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"host": ""}, 421),
        ({"origin": "http://127.0.0.1:8420"}, None),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:5500"}, 403),
        ({"origin": "http://127.0.0.1:8420.evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "file://127.0.0.1:8420"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, None),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, None),
    ],
)
def test_only_this_machine_and_no_other_site(more, refusal):
    assert Access(None).refuses(HERE | more) == refusal


def test_a_site_that_is_named_comes_in():
    access = Access(None, ("http://127.0.0.1:5500",))
    assert access.refuses(HERE | {"origin": "http://127.0.0.1:5500"}) is None
    assert access.refuses(HERE | {"origin": "http://127.0.0.1:5501"}) == 403


def test_with_a_token_any_name_will_do_and_nothing_else():
    access = Access(SECRET)
    there = {"host": "lab.example:8420"}
    cookie = access.login(SECRET)
    assert access.login("") is access.login(SECRET[:-1]) is access.login(SECRET + "x") is access.login("\ud800") is None
    assert SECRET not in cookie
    assert access.refuses(there) == 401
    for known in ({"cookie": f"a=b; {COOKIE}={cookie}"}, {"authorization": f"Bearer {SECRET}"}):
        assert access.refuses(there | known) is None
        assert access.refuses(there | known | {"origin": "http://evil.example"}) == 403
    for strange in ("x", cookie[:-1], "", f'"{cookie}', "\xe4" * 9):
        assert access.refuses(there | {"cookie": f"{COOKIE}={strange}"}) == 401
    for strange in ("Bearer", "Bearer x", f"Basic {SECRET}", SECRET):
        assert access.refuses(there | {"authorization": strange}) == 401


def test_the_cookie_of_one_token_does_not_open_another():
    cookie = Access(None).login("")
    assert cookie is None
    assert Access("one token of many").refuses(HERE | {"cookie": f"{COOKIE}={Access(SECRET).login(SECRET)}"}) == 401


def test_a_door_to_other_machines_has_a_token():
    with open_door(WebSettings(port=0), {}) as door:
        assert door.token is None
        assert door.invitation == door.url == f"http://127.0.0.1:{door.port}/"
    with open_door(WebSettings(host="0.0.0.0", port=0), {}) as door:
        assert len(door.token) >= 20
        assert door.invitation.endswith(f"/login#{door.token}")
        assert door.token not in repr(door)
    with open_door(WebSettings(port=0), {TOKEN: SECRET}) as door:
        assert door.token == SECRET


def test_a_door_that_cannot_be_opened_is_one_line():
    with (
        open_door(WebSettings(port=0), {}) as door,
        pytest.raises(WebError, match=rf"port {door.port}: .*another web\.port"),
    ):
        open_door(WebSettings(port=door.port), {})
    with pytest.raises(WebError, match="5 letters; give at least 12"):
        open_door(WebSettings(port=0), {TOKEN: "short"})
    with pytest.raises(WebError, match=r"web\.host no\.such\.host\.invalid"):
        open_door(WebSettings(host="no.such.host.invalid", port=0), {})
