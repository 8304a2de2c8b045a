"""The watch on the head of a cluster, with a listening socket in the head's place."""

import socket
import time

from aisb_launcher_ray._head import HeadWatch, seconds_until_ray_ends


def listening(port=0):
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    made.listen()
    return made


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_head_that_comes_back_is_not_given_up_and_one_that_stays_away_is():
    said = []
    head = listening()
    port = head.getsockname()[1]
    watch = HeadWatch(f"127.0.0.1:{port}", said.append, patience=4)
    try:
        assert watch.why_missing() == ""
        head.close()
        wait_for(lambda: watch.is_missing)
        assert watch.why_missing() == f"the head of the Ray cluster at 127.0.0.1:{port} does not answer"
        with listening(port):
            wait_for(lambda: not watch.is_missing)
            assert not said
        wait_for(lambda: said)
    finally:
        watch.end()
    (line,) = said
    assert line.startswith(f"the head of the Ray cluster at 127.0.0.1:{port} has not answered for 4 s")


def test_the_patience_is_three_quarters_of_rays_own(monkeypatch):
    with listening() as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        for setting, patience in (("", 45), ("no number", 45), ("600", 450)):
            monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", setting)
            watch = HeadWatch(address, print)
            watch.end()
            assert watch.patience == patience == 0.75 * seconds_until_ray_ends()
