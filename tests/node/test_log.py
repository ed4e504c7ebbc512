"""The log is bounded, whoever writes, and a second set-up goes on with the same file."""

import json
import threading

import pytest
import structlog

from node import log
from node.log import set_up
from node.log_file import LogFile


@pytest.fixture
def reset():
    yield
    structlog.reset_defaults()
    for file in log._files.values():
        file.close()
    log._files.clear()


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_a_full_file_is_put_aside_and_the_oldest_goes(tmp_path):
    file = LogFile(tmp_path / "node.log", bytes_max=20, aside=2)
    for number in range(9):
        file.write(f"line {number}")  # Seven bytes with its end: two to a file.
    file.close()
    assert names(tmp_path) == ["node.log", "node.log.1", "node.log.2"]
    assert (tmp_path / "node.log").read_text() == "line 8\n"
    assert (tmp_path / "node.log.1").read_text() == "line 6\nline 7\n"
    assert (tmp_path / "node.log.2").read_text() == "line 4\nline 5\n"


def test_a_restart_goes_on_with_the_file(tmp_path):
    for number in range(3):
        file = LogFile(tmp_path / "node.log", bytes_max=20, aside=2)
        file.write(f"line {number}")
        file.close()
    assert (tmp_path / "node.log.1").read_text() == "line 0\nline 1\n"
    assert (tmp_path / "node.log").read_text() == "line 2\n"


def test_a_line_larger_than_a_file_is_written_whole(tmp_path):
    file = LogFile(tmp_path / "node.log", bytes_max=5, aside=1)
    file.write("far too long")
    file.write("é\ud800")
    file.close()
    assert (tmp_path / "node.log.1").read_text() == "far too long\n"
    assert (tmp_path / "node.log").read_text() == "é\\ud800\n"


def test_lines_of_many_threads_stay_whole(tmp_path):
    file = LogFile(tmp_path / "node.log", bytes_max=500, aside=100)

    def write(name):
        for _ in range(100):
            file.write(name * 9)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.close()
    lines = [line for path in tmp_path.iterdir() for line in path.read_text().splitlines()]
    assert sorted(lines) == sorted(name * 9 for name in "abcd" for _ in range(100))


def test_every_level_reaches_the_file_as_json(tmp_path, reset):
    set_up(tmp_path / "node.log", "info")
    logger = structlog.get_logger("x")
    logger.debug("hidden")
    logger.info("block", height=7)
    logger.warning("slow")
    try:
        int("what for")
    except ValueError:
        logger.exception("failed")
    lines = [json.loads(line) for line in (tmp_path / "node.log").read_text().splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [
        ("block", "info"),
        ("slow", "warning"),
        ("failed", "error"),
    ]
    assert lines[0]["height"] == 7
    assert "ValueError: invalid literal" in lines[2]["exception"]


def test_a_node_that_is_opened_anew_writes_to_one_file(tmp_path, reset):
    """Loggers remember the file that they first wrote to; two would turn it under each other."""
    set_up(tmp_path / "node.log", "info")
    first = structlog.get_logger("x")
    first.info("one")
    set_up(tmp_path / "node.log", "info")
    structlog.get_logger("x").info("two")
    first.info("three")
    assert len(log._files) == 1
    assert len((tmp_path / "node.log").read_text().splitlines()) == 3
