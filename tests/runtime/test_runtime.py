"""Parameters, seeds, devices, progress, hashes and the cache."""

from __future__ import annotations

import errno
import multiprocessing
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from filelock import FileLock, Timeout
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from medpriv.runtime.arguments import choose
from medpriv.runtime.cache import (
    CacheError,
    DamagedError,
    atomic_path,
    cache_dir,
    cached,
    kept,
    read_sealed,
    remembered,
    write_sealed,
)
from medpriv.runtime.device import (
    DEVICES,
    autocast,
    available_devices,
    describe_device,
    has_fast_bf16,
    in_chunks,
    pick_device,
    to_device,
)
from medpriv.runtime.hashing import content_hash, identity
from medpriv.runtime.memory import give_back_memory, peak_bytes
from medpriv.runtime.profile import PROFILES, check_profile
from medpriv.runtime.progress import progress
from medpriv.runtime.seeds import check_seed, rng, seeded, torch_rng
from tiny import ROOT

seeds = st.integers(0, 2**31 - 1)


def elsewhere(code: str, **environment: str) -> str:
    """What a fresh process with another hash seed prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "4711", "PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- Parameters -----------------------------------------------------------------------------------


def test_choose_lists_the_known() -> None:
    assert choose("b", iter("abc"), "letter") == "b"
    with pytest.raises(ValueError, match="unknown letter 'z'; expected one of: a, b, c"):
        choose("z", iter("abc"), "letter")


@pytest.mark.parametrize("wrong", ["", "Quick", "fast", None, 3])
def test_an_unknown_profile(wrong: Any) -> None:
    with pytest.raises(ValueError, match="unknown profile .*expected one of: smoke, quick, full"):
        check_profile(wrong)
    assert [check_profile(profile) for profile in PROFILES] == list(PROFILES)


@pytest.mark.parametrize("wrong", [-1, 2**31, 1.0, "1", True, None, float("nan"), np.float64(2)])
def test_a_seed_that_is_no_seed(wrong: Any) -> None:
    with pytest.raises(ValueError, match="seed must be an integer from 0 to 2147483647, got"):
        check_seed(wrong)


@given(seeds)
def test_a_seed(seed: int) -> None:
    assert check_seed(seed) == seed
    assert type(check_seed(np.int64(seed))) is int


# --- Seeds ----------------------------------------------------------------------------------------


@given(seeds, st.text(max_size=5), st.text(max_size=5))
def test_streams_differ_between_scopes_and_repeat_within_one(seed: int, one: str, two: str) -> None:
    draw = rng(seed, one).integers(2**62, size=4)
    assert np.array_equal(draw, rng(seed, one).integers(2**62, size=4))
    assert np.array_equal(draw, rng(np.int64(seed), one).integers(2**62, size=4))
    others = [rng(seed, one, two), rng(seed, one + "'"), rng(seed), rng((seed + 1) % 2**31, one)]
    assert all(not np.array_equal(draw, other.integers(2**62, size=4)) for other in others)
    torch_draw = torch.rand(4, generator=torch_rng(seed, one))
    assert torch.equal(torch_draw, torch.rand(4, generator=torch_rng(seed, one)))
    assert not torch.equal(torch_draw, torch.rand(4, generator=torch_rng(seed, one, two)))


def test_scopes_cannot_be_confused() -> None:
    scopes = [("a", "b"), ("ab",), ("a", "", "b"), ("a, b",), ("1",), (1,), ("a', 'b",), ()]
    draws = {int(rng(0, *scope).integers(2**62)) for scope in scopes}
    assert len(draws) == len(scopes)


def test_streams_of_different_scopes_are_uncorrelated() -> None:
    """28 pairs of 4,000 normal draws: |r| stays below 4.5 standard errors, 0.07 (alpha 2e-4)."""
    draws = np.stack([rng(0, "scope", number).normal(size=4000) for number in range(8)])
    apart = np.corrcoef(draws) - np.eye(8)
    assert np.abs(apart).max() < 0.07


def test_streams_are_the_same_in_another_process() -> None:
    code = (
        "from medpriv.runtime.seeds import *\n"
        "import torch, random, numpy as np\n"
        "print(rng(3, 'a', 1).integers(2**62), torch.rand(1, generator=torch_rng(3, 'a')).item())\n"
        "with seeded(3, 'a'): print(random.random(), np.random.rand(), torch.rand(1).item())"
    )
    first = f"{rng(3, 'a', 1).integers(2**62)} {torch.rand(1, generator=torch_rng(3, 'a')).item()}"
    with seeded(3, "a"):
        second = f"{random.random()} {np.random.rand()} {torch.rand(1).item()}"
    assert elsewhere(code).splitlines() == [first, second]


def test_a_stream_draws_nothing_from_the_global_state() -> None:
    before = global_states()
    rng(0, "x").normal(size=3)
    torch.rand(3, generator=torch_rng(0, "x"))
    assert global_states() == before


def global_states() -> tuple[Any, ...]:
    name, keys, *rest = np.random.get_state()
    return (
        random.getstate(),
        (name, keys.tolist(), *rest),
        torch.get_rng_state().tolist(),
        torch.initial_seed(),
    )


class Stop(BaseException):
    pass


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, Stop])
def test_seeded_restores_the_global_states(error: type[BaseException] | None) -> None:
    before = global_states()

    def block() -> None:
        with seeded(1, "x"):
            random.random(), np.random.rand(), torch.rand(1)
            assert global_states() != before
            if error:
                raise error

    if error:
        with pytest.raises(error):
            block()
    else:
        block()
    assert global_states() == before


def test_seeded_blocks_repeat_and_nest() -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), np.random.rand(), torch.rand(1).item()

    with seeded(1, "x"):
        first = draw()
        with seeded(2, "x"):
            inner = draw()
        second = draw()
    with seeded(1, "x"):
        assert draw() == first
        assert draw() == second
    assert inner not in (first, second)


# --- Devices --------------------------------------------------------------------------------------


def test_the_cpu_is_always_there_and_first() -> None:
    assert available_devices()[0] == "cpu"
    assert pick_device("cpu") == torch.device("cpu")


def test_auto_takes_the_accelerator_where_there_is_one() -> None:
    assert pick_device().type == pick_device("auto").type == available_devices()[-1]


@pytest.mark.parametrize("wrong", ["gpu", "CPU", "", None, "tpu"])
def test_an_unknown_device(wrong: Any) -> None:
    with pytest.raises(ValueError, match="unknown device .*expected one of: auto, cpu, cuda, mps"):
        pick_device(wrong)


@pytest.mark.parametrize("absent", sorted(set(DEVICES) - {"auto"} - set(available_devices())))
def test_an_absent_device(absent: str) -> None:
    message = f"device '{absent}' is not present on this machine.*present: cpu.*use device='auto'"
    with pytest.raises(ValueError, match=message):
        pick_device(absent)
    with pytest.raises(ValueError, match="is not present"):
        pick_device(torch.device(absent))


def test_a_device_can_be_given_as_torch_names_it(device: str) -> None:
    assert pick_device(torch.device(device)).type == device


def test_moving_to_a_device(device: str) -> None:
    where = torch.device(device)
    images = to_device(torch.rand(2, 3, 4, 5), where)
    assert images.device.type == device
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert to_device(torch.rand(2, 3), where).device.type == device
    layer = to_device(torch.nn.Conv2d(3, 4, 3), where)
    assert layer.weight.device.type == device
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)


def test_exact_switches_autocast_off(device: str) -> None:
    where = torch.device(device)
    one = torch.ones(2, 2, device=where)
    with autocast(where, exact=True):
        assert (one @ one).dtype == torch.float32
    with autocast(where):
        expected = torch.bfloat16 if has_fast_bf16(where) else torch.float32
        assert (one @ one).dtype == expected


@pytest.mark.parametrize("capable", [{}, {"avx2": True}, {"avx512_bf16": True}, {"amx_bf16": True}])
def test_bf16_is_what_the_cpu_says(
    capable: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MEDPRIV_BF16", raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capable, raising=False)
    cpu = torch.device("cpu")
    fast = "avx512_bf16" in capable or "amx_bf16" in capable
    assert has_fast_bf16(cpu) == fast
    assert ("bfloat16" if fast else "float32") in describe_device(cpu)


def test_bf16_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    capable = {"avx512_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capable, raising=False)
    monkeypatch.setenv("MEDPRIV_BF16", "0")
    cpu = torch.device("cpu")
    assert not has_fast_bf16(cpu)
    assert "float32" in describe_device(cpu)
    with autocast(cpu):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


# --- Progress -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "shows"),
    [
        ({}, True),
        ({"CI": "true"}, False),
        ({"CI": ""}, True),
        ({"CI": "true", "MEDPRIV_PROGRESS": "1"}, True),
        ({"MEDPRIV_PROGRESS": "0"}, False),
        ({"MEDPRIV_PROGRESS": ""}, False),
    ],
)
def test_progress_is_silent_in_ci(
    environment: dict[str, str],
    shows: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("CI", "MEDPRIV_PROGRESS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert list(progress(range(3), "counting", unit="sheep")) == [0, 1, 2]
    written = capsys.readouterr()
    assert written.out == ""
    assert ("counting" in written.err) == shows


def test_progress_in_a_notebook_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import IPython

    monkeypatch.setenv("MEDPRIV_PROGRESS", "1")
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=None))
    assert list(progress(range(3), "counting")) == [0, 1, 2]
    shown = capsys.readouterr()
    assert "counting" in shown.out
    assert shown.err == ""


# --- Hashes ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    x: float
    y: float


@dataclass(frozen=True)
class Spot:
    x: float
    y: float


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


def typed(value: Any) -> Any:
    """The value with every type beside it: True, 1 and 1.0 are equal in Python, not in content."""
    if isinstance(value, dict):
        return (dict, frozenset((typed(k), typed(v)) for k, v in value.items()))
    if isinstance(value, (list, tuple)):
        return (type(value), tuple(typed(item) for item in value))
    return (type(value), repr(value))


@given(st.lists(plain, max_size=3), st.lists(plain, max_size=3))
def test_hashes_agree_exactly_when_types_and_contents_do(one: list, two: list) -> None:
    assert (content_hash(*one) == content_hash(*two)) == (typed(one) == typed(two))


@given(arrays(st.sampled_from([np.uint8, np.int64, np.float32, bool]), array_shapes(max_dims=3)))
def test_hashes_of_arrays_see_type_shape_and_value(array: np.ndarray) -> None:
    base = content_hash(array)
    assert content_hash(array.copy()) == base
    assert content_hash(np.asfortranarray(array)) == base  # contents, not memory
    assert content_hash(array.astype(np.float64)) != base
    assert content_hash(array[None]) != base
    changed = array.copy()
    changed.flat[-1] = 0 if changed.flat[-1] else 1
    assert content_hash(changed) != base
    tensor = torch.from_numpy(array)
    assert content_hash(tensor) == content_hash(tensor.clone().requires_grad_(False))
    assert content_hash(tensor) != base  # a tensor is no array
    assert content_hash(tensor[None]) != content_hash(tensor)


def test_hashes_of_tensors_do_not_depend_on_memory_format_or_device(device: str) -> None:
    images = torch.rand(2, 3, 4, 4)
    base = content_hash(images)
    assert content_hash(images.to(memory_format=torch.channels_last)) == base
    assert content_hash(images.to(device)) == base
    assert content_hash(images.requires_grad_()) == base
    assert content_hash(images.double()) != base


# Each pair was, or could be, taken for the same by a careless encoding.
@pytest.mark.parametrize(
    ("one", "two"),
    [
        (({"a": 1}, "b", 2), ({"a": 1, "b": 2},)),
        (([1, 2], 3), ([1], 2, 3)),
        (("ab",), ("a", "b")),
        ((1,), (True,)),
        ((1,), (1.0,)),
        (("1",), (1,)),
        ((b"a",), ("a",)),
        (([1, 2],), ((1, 2),)),
        ((Point(1, 2),), (Spot(1, 2),)),
        ((Point(1, 2),), (Point(2, 1),)),
        ((None,), ()),
        ((pd.DataFrame({"a": [1, 0]}),), (pd.DataFrame({"a": [True, False]}),)),
        ((pd.DataFrame({"a": [1, 0]}),), (pd.DataFrame({"a": np.array([1, 0], np.int32)}),)),
        ((pd.DataFrame({"a": [1, 0]}),), (pd.DataFrame({"b": [1, 0]}),)),
        ((pd.DataFrame({"a": [1, 0]}),), (pd.DataFrame({"a": [0, 1]}),)),
        ((pd.DataFrame({"a": [1, 0]}),), (pd.DataFrame({"a": [1, 0]}, index=[5, 6]),)),
        ((np.array(["a", "b"], dtype=object),), (np.array(["ab", ""], dtype=object),)),
        ((np.float32(1),), (np.float64(1),)),
    ],
)
def test_what_differs_has_another_hash(one: tuple, two: tuple) -> None:
    assert content_hash(*one) != content_hash(*two)


def test_the_order_of_a_dictionary_does_not_matter() -> None:
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})


def test_a_path_is_hashed_by_its_content(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("same")
    two.write_text("same")
    assert content_hash(one) == content_hash(two)
    two.write_text("other")
    assert content_hash(one) != content_hash(two)


@pytest.mark.parametrize("value", [print, object(), {1, 2}, Point])
def test_what_has_no_content_has_no_hash(value: Any) -> None:
    with pytest.raises(TypeError, match="cannot hash the content of a"):
        content_hash([1, value])


def test_hashes_are_the_same_in_another_process() -> None:
    expression = (
        "content_hash({'b': [1, 2.5, None], 'a': ('x', b'y')}, np.arange(6.).reshape(2, 3), "
        "torch.arange(4), pd.DataFrame({'t': ['u', 'v'], 'n': [1, 2]}), True)"
    )
    imports = "import numpy as np, pandas as pd, torch\nfrom medpriv.runtime.hashing import *\n"
    names = {"np": np, "pd": pd, "torch": torch, "content_hash": content_hash}
    assert elsewhere(f"{imports}print({expression})") == eval(expression, names)


# --- Writing --------------------------------------------------------------------------------------


def write(target: Path, text: str) -> None:
    with atomic_path(target) as part:
        part.write_text(text)


def test_a_file_appears_whole_with_its_folders(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "c.txt"
    with atomic_path(target) as part:
        part.write_text("half")
        assert not target.exists()
        assert part.suffix == target.suffix  # writers that go by the suffix
        part.write_text("whole")
    assert target.read_text() == "whole"
    assert [file.name for file in target.parent.iterdir()] == ["c.txt"]
    assert target.stat().st_mode & 0o444 == 0o444


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, OSError])
@pytest.mark.parametrize("old", [None, "old"])
def test_nothing_is_left_on_error_or_interruption(
    error: type[BaseException], old: str | None, tmp_path: Path
) -> None:
    target = tmp_path / "file.txt"
    if old is not None:
        target.write_text(old)

    def interrupted() -> None:
        with atomic_path(target) as part:
            part.write_text("half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert [file.read_text() for file in tmp_path.iterdir()] == ([old] if old else [])


def keep_writing(target: Path, letter: str, times: int) -> None:
    for _ in range(times):
        write(target, letter * 200_000)


def test_two_processes_writing_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    """And whoever reads meanwhile sees a whole file, never a part."""
    target = tmp_path / "file.txt"
    write(target, "a" * 200_000)
    # Forking is enough here, and does not import the package once more in each process.
    context = multiprocessing.get_context("fork")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        writers = [context.Process(target=keep_writing, args=(target, w, 40)) for w in "bc"]
        for writer in writers:
            writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        text = target.read_text()
        assert len(text) == 200_000
        seen |= set(text)
        assert len(set(text)) == 1
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert target.read_text() in ("b" * 200_000, "c" * 200_000)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("mkdir", errno.EROFS),
        ("touch", errno.EACCES),
        ("touch", errno.ENOSPC),
        ("write", errno.ENOSPC),
        ("write", errno.EDQUOT),
        ("replace", errno.EROFS),
    ],
)
def test_a_folder_that_cannot_be_written(
    place: str, error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(Path, {"write": "write_text"}.get(place, place), refuse)
    message = f"cannot write file.txt in .*{os.strerror(error)}.*MEDPRIV_CACHE"
    with pytest.raises(CacheError, match=message) as caught:
        write(tmp_path / "file.txt", "text")
    assert caught.value.errno == error
    assert isinstance(caught.value.__cause__, OSError)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_disk_that_is_full_indeed(tmp_path: Path) -> None:
    def fill() -> None:
        with atomic_path(tmp_path / "file.txt"), open("/dev/full", "w") as disk:
            disk.write("text")

    with pytest.raises(CacheError, match="No space left on device.*Free some space"):
        fill()
    assert not list(tmp_path.iterdir())


# --- Threads --------------------------------------------------------------------------------------


@pytest.mark.skipif("OMP_NUM_THREADS" not in os.environ, reason="make test sets OMP_NUM_THREADS")
def test_no_test_module_changes_the_number_of_threads() -> None:
    """All have been imported by now; one that takes all cores makes every other test slower."""
    assert torch.get_num_threads() == int(os.environ["OMP_NUM_THREADS"])


# --- The cache ------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDPRIV_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def remember(make: Callable[[], str], key: str = "key") -> str:
    return kept(cache_dir() / "kind" / f"{key}.txt", make, str.encode, bytes.decode)


def files_in(folder: Path) -> list[str]:
    return [file.name for file in folder.rglob("*") if file.is_file()]


def test_a_value_is_made_once(cache: Path) -> None:
    made: list[str] = []
    assert [remember(lambda: made.append("x") or "value") for _ in range(3)] == ["value"] * 3
    assert made == ["x"]
    assert remember(lambda: "other", key="other") == "other"
    assert (cache / "kind" / "key.txt").is_file()


@pytest.mark.parametrize("text", ["", "valu", "<html>"])
def test_a_damaged_file_is_made_again_with_a_warning(text: str, cache: Path) -> None:
    remember(lambda: "value")
    file = cache / "kind" / "key.txt"
    file.write_text(text)
    with pytest.warns(RuntimeWarning, match=r"key.txt in .* is damaged \(its content.*making it"):
        assert remember(lambda: "again") == "again"
    assert remember(lambda: "never") == "again"


def test_a_damaged_byte_anywhere_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_sealed(file, bytes(range(256)))
    whole = file.read_bytes()
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DamagedError):
            read_sealed(file)
        file.write_bytes(whole[:place])
        with pytest.raises(DamagedError):
            read_sealed(file)
    file.write_bytes(whole + b"0")
    with pytest.raises(DamagedError):
        read_sealed(file)
    file.write_bytes(whole)
    assert read_sealed(file) == bytes(range(256))


def test_who_may_read_a_file_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_sealed(tmp_path / "file", b"patients")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_what_a_killed_run_left_goes_after_a_day(tmp_path: Path) -> None:
    def interrupted(name: str) -> None:
        with atomic_path(tmp_path / name) as part:
            shutil.copy(part, left / part.name)

    left = tmp_path / "left"
    left.mkdir()
    for name in ("old.csv", "old", "young.csv"):
        interrupted(name)
    for readers in (".notes.part1", ".a.part", ".b.0123.part.csv"):
        (left / readers).touch()
    for file in left.iterdir():
        if "young" not in file.name:
            os.utime(file, (0, 0))
    write_sealed(left / "file", b"x")
    young, *others = sorted(file.name for file in left.iterdir() if ".young" in file.name)
    assert not others
    stay = {".notes.part1", ".a.part", ".b.0123.part.csv", young, "file"}
    assert {file.name for file in left.iterdir()} == stay


def test_a_folder_that_may_not_be_searched_costs_only_the_saving(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "exists", refuse)
    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.warns(RuntimeWarning, match="not kept for the next run.*Permission denied"):
        assert remember(lambda: "value") == "value"


def test_making_may_fail_and_leaves_nothing(cache: Path) -> None:
    def make() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        remember(make)
    assert files_in(cache) == []


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS])
def test_an_unwritable_cache_still_gives_the_value(
    error: int, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(Path, "touch", refuse)
    message = f"not kept for the next run.*{os.strerror(error)}.*MEDPRIV_CACHE"
    with pytest.warns(RuntimeWarning, match=message):
        assert remember(lambda: "value") == "value"
    assert files_in(cache) == []


def test_who_asks_while_another_makes_it_waits_for_that_one(cache: Path) -> None:
    made: list[int] = []
    both = threading.Barrier(2)

    def make(number: int) -> str:
        made.append(number)
        time.sleep(0.3)  # the other one asks meanwhile
        return "value"

    def ask(number: int) -> str:
        both.wait()
        return remember(lambda: make(number))

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ask, range(2))) == ["value"] * 2
    assert len(made) == 1
    assert files_in(cache) == ["key.txt"]


@pytest.mark.parametrize("error", [Timeout("a lock"), NotImplementedError("no locks here")])
def test_without_a_lock_it_is_made_all_the_same(
    error: Exception, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(FileLock, "acquire", refuse)
    assert remember(lambda: "value") == "value"
    assert files_in(cache) == ["key.txt"]


def test_the_lock_of_a_killed_process_is_free_again(cache: Path) -> None:
    script = (
        "import os, signal; from medpriv.runtime.cache import cache_dir, kept; "
        "kept(cache_dir() / 'kind' / 'key.txt', lambda: os.kill(os.getpid(), signal.SIGKILL), "
        "print, print)"
    )
    environment = os.environ | {"MEDPRIV_CACHE": str(cache)}
    killed = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert remember(lambda: "value") == "value"


def test_a_whole_cache_warns_of_nothing(cache: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        remember(lambda: "value")
        remember(lambda: "value")


def maker(value: str) -> Callable[[], str]:
    def make() -> str:
        return value

    return make


def test_what_is_made_of_other_parts_or_by_other_code_is_another_file(cache: Path) -> None:
    def keep(parts: Any, make: Callable[[], str]) -> str:
        return cached("kind", parts, make, str.encode, bytes.decode)

    def other() -> str:
        return "other"

    assert keep({"a": 1}, maker("first")) == "first"
    assert keep({"a": 1}, maker("second")) == "first"  # the same code, of the same parts
    assert keep({"a": 2}, maker("second")) == "second"
    assert keep({"a": 1}, other) == "other"
    assert len(files_in(cache)) == 3


@dataclass(frozen=True)
class Setting:
    """A value that another process would send as a new object."""

    name: str
    values: tuple[int, ...]


def test_a_function_remembers_by_content() -> None:
    asked: list[Any] = []

    @remembered(2)
    def ask(setting: Setting, times: int = 1) -> int:
        asked.append(setting)
        return times * sum(setting.values)

    assert ask(Setting("a", (1, 2))) == ask(Setting("a", (1, 2))) == 3
    assert ask(Setting("a", (1, 2)), times=2) == 6
    assert len(asked) == 2
    assert ask.__name__ == "ask"


def test_identities_tell_functions_settings_and_networks_apart() -> None:
    one, same, other = (torch.nn.Linear(2, 2) for _ in range(3))
    same.load_state_dict(one.state_dict())
    hashed = [content_hash(identity(net)) for net in (one, same, other)]
    assert hashed[0] == hashed[1] != hashed[2]
    assert identity(maker) != identity(files_in)
    assert (
        identity(Setting("a", (1,))) == identity(Setting("a", (1,))) != identity(Setting("b", (1,)))
    )
    assert identity({"a": [maker]}) == identity({"a": [maker]})


class Adds:
    """An object that can be called."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, value: int) -> int:
        return value + self.number


def test_objects_that_can_be_called_are_told_apart_by_what_they_hold() -> None:
    hashed = [content_hash(identity(Adds(number))) for number in (1, 1, 2)]
    assert hashed[0] == hashed[1] != hashed[2]


def test_inner_functions_are_told_apart_by_what_they_took_along() -> None:
    def plus(number: Any) -> Callable[[Any], Any]:
        def inner(value: Any) -> Any:
            return value + number if value else outer(value)

        def outer(value: Any) -> Any:  # each holds the other
            return inner(value + 1)

        return inner

    hashed = [content_hash(identity(plus(number))) for number in (1, 1, 2)]
    assert hashed[0] == hashed[1] != hashed[2]
    with pytest.raises(TypeError, match="content of a object. What decides a result"):
        content_hash(identity(plus(object())))


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEDPRIV_CACHE", "~/somewhere")
    assert cache_dir() == Path.home() / "somewhere"
    monkeypatch.delenv("MEDPRIV_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "medpriv"
    for nothing in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", nothing)
        assert cache_dir() == Path.home() / ".cache" / "medpriv"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "medpriv"
    assert not (tmp_path / "medpriv").exists()  # asking makes nothing
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_dir() == Path.home() / "Library" / "Caches" / "medpriv"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert cache_dir() == tmp_path / "medpriv"


def test_peak_memory_is_at_least_what_is_held_now() -> None:
    # Another library's count; the peak cannot be below what this process held a moment ago.
    assert peak_bytes() >= psutil.Process().memory_info().rss * 0.99


def test_giving_memory_back_changes_nothing() -> None:
    rows = torch.arange(1000.0)
    give_back_memory()
    assert rows.sum().item() == 499_500


# A hundred arrays of 4 MB, one after another: 1,024 pages each if every one is fresh.
_FRESH_PAGES = """
import resource, torch
from medpriv.runtime.memory import keep_memory

def fresh():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        torch.zeros(2**20).add_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

told = fresh()
keep_memory()
fresh()  # the first few find no gap that fits them; how many, the addresses decide
print(told, fresh())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="how glibc keeps free memory")
def test_a_worker_told_to_keep_no_memory_keeps_some_all_the_same() -> None:
    told, kept_some = map(int, elsewhere(_FRESH_PAGES, MALLOC_TRIM_THRESHOLD_="65536").split())
    assert told > 50_000
    assert kept_some < told / 50


# --- Chunks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "most"),
    [((1, 64, 64), 32), ((3, 64, 64), 32), ((1, 128, 128), 8), ((64, 16, 16), 128), ((8,), 500)],
)
def test_a_cpu_takes_as_many_images_at_once_as_its_cache_holds(
    shape: tuple[int, ...], most: int
) -> None:
    rows, taken = torch.rand(70, *shape), []

    def compute(chunk: torch.Tensor) -> torch.Tensor:
        taken.append(len(chunk))
        return 2 * chunk

    how = {"device": torch.device("cpu"), "batch_size": 500}
    assert torch.equal(in_chunks(compute, rows, **how), 2 * rows)
    assert max(taken) == min(most, 70)
    taken.clear()
    in_chunks(compute, rows, **how, together=True)
    assert taken == [70]
    taken.clear()
    assert in_chunks(compute, rows[:0], **how).shape == (0, *shape)
    assert taken == [0]
