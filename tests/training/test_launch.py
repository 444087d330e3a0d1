"""Processes that cannot meet say so in one line."""

from __future__ import annotations

import socket

import pytest

from modalign.errors import ModalignError
from modalign.training.launch import together


def test_a_variable_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ModalignError, match=r"2 processes .* RANK expected, .* start them with torchrun"), together():
        raise AssertionError


def test_a_port_in_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        known = {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        for name, value in known.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(ModalignError, match=rf"cannot meet at 127.0.0.1:{port} \(.*EADDRINUSE"), together():
            raise AssertionError


def test_a_number_of_processes_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(ModalignError, match="WORLD_SIZE must be a number of processes, got 'two'"), together():
        raise AssertionError
