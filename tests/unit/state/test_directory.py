"""The directory: what leads to whom, in one process and in two."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ironpost.errors import DirectoryError
from ironpost.state.directory import Directory

SECRET = [{"kind": "argon2id", "hash": "$argon2id$fake"}]


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    opened = Directory(tmp_path)
    yield opened
    opened.close()


async def people(directory: Directory) -> None:
    await directory.add_domain("example.test")
    await directory.add_account("Alice@Example.test", SECRET)
    await directory.add_account("bob@example.test", SECRET)


async def test_addresses_compare_without_case_and_detail(directory: Directory) -> None:
    await people(directory)
    account = directory.account("ALICE@EXAMPLE.TEST")
    assert account == (1, "Alice@example.test")
    assert directory.resolve("aLiCe", "example.TEST") == (account,)
    assert directory.resolve("alice+shopping", "example.test") == (account,)
    assert directory.resolve("carol", "example.test") is None
    assert directory.resolve("alice", "other.test") is None
    assert directory.resolve("+alice", "example.test") is None
    assert directory.resolve("x" * 600, "example.test") is None


async def test_international_domains_have_one_form(directory: Directory) -> None:
    assert await directory.add_domain("Bücher.test") == "xn--bcher-kva.test"
    await directory.add_account("eva@bücher.test", SECRET)
    assert directory.is_local_domain("BÜCHER.test")
    assert directory.resolve("eva", "xn--bcher-kva.test") == directory.resolve("eva", "bücher.test") != None  # noqa: E711


async def test_ids_are_never_used_again(directory: Directory) -> None:
    await people(directory)
    assert await directory.remove_account("bob@example.test") == 2
    assert directory.resolve("bob", "example.test") is None
    assert (await directory.add_account("bob@example.test", SECRET)).id == 3
    assert directory.purgeable(before=2e10) == [2]
    assert directory.purgeable(before=0.0) == []
    assert directory.known_ids() == {1, 2, 3}
    await directory.drop_tombstone(2)
    assert directory.purgeable(before=2e10) == []
    assert directory.known_ids() == {1, 3}


async def test_aliases(directory: Directory) -> None:
    await people(directory)
    await directory.add_alias("sales@example.test", ["alice@example.test", "far@other.test"])
    await directory.add_alias("all@example.test", ["sales@example.test", "bob@example.test", "alice@example.test"])
    resolution = directory.resolve_full("all+x", "example.test")
    assert resolution is not None
    assert {account.id for account in resolution.accounts} == {1, 2}
    assert resolution.remote == ("far@other.test",)
    alice, bob = directory.account("alice@example.test"), directory.account("bob@example.test")
    assert alice is not None
    assert bob is not None
    assert directory.may_send_as(alice, "Sales@example.test")
    assert not directory.may_send_as(bob, "sales@example.test")
    assert not directory.may_send_as(bob, "far@other.test")
    assert not directory.may_send_as(bob, "")
    await directory.remove_alias("all@example.test", ["bob@example.test"])
    assert not directory.may_send_as(bob, "all@example.test")
    await directory.remove_alias("all@example.test", [])
    assert [alias.address for alias in directory.aliases()] == ["sales@example.test"]


async def test_loops_of_aliases_are_refused_and_survived(directory: Directory) -> None:
    await people(directory)
    await directory.add_alias("a@example.test", ["bob@example.test"])
    await directory.add_alias("b@example.test", ["a@example.test"])
    for name, target in (("a@example.test", "b@example.test"), ("a@example.test", "a@example.test")):
        with pytest.raises(DirectoryError) as caught:
            await directory.add_alias(name, [target])
        assert caught.value.code == "loop"
    # What an older version may have written.
    environment = directory.environment
    import msgpack

    row = msgpack.packb({"v": 1, "address": "a@example.test", "targets": ["b@example.test", "bob@example.test"]})
    await environment.write(lambda txn: txn.put(b"a@example.test", row, db=environment.tables["aliases"]))
    accounts = directory.resolve("b", "example.test")
    assert accounts is not None
    assert [account.id for account in accounts] == [2]


async def test_deep_aliases_end(directory: Directory) -> None:
    await people(directory)
    await directory.add_alias("n0@example.test", ["bob@example.test"])
    for number in range(1, 30):
        await directory.add_alias(f"n{number}@example.test", [f"n{number - 1}@example.test"])
    assert directory.resolve("n10", "example.test") is not None
    assert directory.resolve("n29", "example.test") is None


async def test_postmaster_and_catch_all(directory: Directory) -> None:
    await people(directory)
    alice, bob = directory.account("alice@example.test"), directory.account("bob@example.test")
    assert directory.resolve("Postmaster", "example.test") == (alice,)
    await directory.add_account("carol@example.test", SECRET)
    await directory.remove_account("alice@example.test")
    assert directory.resolve("postmaster", "example.test") == (bob,)
    await directory.add_account("alice@example.test", SECRET)
    alice = directory.account("alice@example.test")
    assert directory.resolve("postmaster", "example.test") == (bob,)
    await directory.add_alias("postmaster@example.test", ["alice@example.test"])
    assert directory.resolve("postmaster", "example.test") == (alice,)
    await directory.add_alias("@example.test", ["alice@example.test"])
    assert directory.resolve("anything", "example.test") == (alice,)
    assert directory.resolve("bob", "example.test") == (bob,)
    assert directory.postmaster_domain("mail.example.test") == "example.test"


@pytest.mark.parametrize(
    "address",
    ["", "alice", "@example.test", "a b@example.test", ".a@example.test", "a..b@example.test", "a@b@example.test",
     "a+b@example.test", "a@-x.test", "a@test", "x" * 65 + "@example.test", "a\n@example.test"],
)  # fmt: skip
async def test_bad_addresses_are_refused(directory: Directory, address: str) -> None:
    await people(directory)
    with pytest.raises(DirectoryError):
        await directory.add_account(address, SECRET)


async def test_refusals_have_codes(directory: Directory) -> None:
    await people(directory)

    async def refused(edit: object) -> str:
        with pytest.raises(DirectoryError) as caught:
            await edit  # type: ignore[misc]
        return caught.value.code

    assert await refused(directory.add_domain("example.test")) == "exists"
    assert await refused(directory.remove_domain("example.test")) == "in-use"
    assert await refused(directory.add_account("alice@example.test", SECRET)) == "exists"
    assert await refused(directory.add_account("x@other.test", SECRET)) == "no-domain"
    assert await refused(directory.remove_account("x@example.test")) == "unknown"
    assert await refused(directory.add_alias("alice@example.test", ["bob@example.test"])) == "exists"
    assert await refused(directory.add_alias("x@example.test", ["nobody@example.test"])) == "unknown"
    assert await refused(directory.remove_alias("x@example.test", [])) == "unknown"


async def test_import_refuses_rows_one_by_one(directory: Directory) -> None:
    await people(directory)
    outcomes = await directory.import_accounts(
        [("carol@example.test", SECRET), ("alice@example.test", SECRET), ("x", SECRET), ("dave@example.test", SECRET)]
    )
    assert [code for code, _ in outcomes] == ["", "exists", "bad-address", ""]
    assert directory.count_accounts() == 4


async def test_a_broken_edit_fails_alone(directory: Directory) -> None:
    await people(directory)

    def broken(_: object) -> None:
        raise ZeroDivisionError

    environment = directory.environment
    futures = [environment.submit(broken)]
    futures += [
        environment.submit(lambda txn, n=number: txn.put(b"%d" % n, b"x", db=environment.tables["meta"]))
        for number in range(20)
    ]
    with pytest.raises(ZeroDivisionError):
        futures[0].result(10)
    assert all(future.result(10) for future in futures[1:])


async def test_every_edit_changes_the_generation(directory: Directory) -> None:
    seen = {directory.generation}
    await directory.add_domain("example.test")
    seen.add(directory.generation)
    await directory.add_account("a@example.test", SECRET)
    seen.add(directory.generation)
    await directory.set_verifiers("a@example.test", SECRET)
    seen.add(directory.generation)
    assert len(seen) == 4
    assert len({directory.generation, directory.generation}) == 1


async def test_verifiers_change_only_when_expected(directory: Directory) -> None:
    await people(directory)
    credential = directory.credential(1)
    assert credential is not None
    assert "argon2id" not in repr(credential)
    await directory.set_verifiers("alice@example.test", [{"kind": "new"}], generation=credential.generation)
    with pytest.raises(DirectoryError) as caught:
        await directory.set_verifiers("alice@example.test", SECRET, generation=credential.generation)
    assert caught.value.code == "changed"
    changed = directory.credential(1)
    assert changed is not None
    assert changed.verifiers == ({"kind": "new"},)


OTHER_PROCESS = """
import sys, trio
from pathlib import Path
from ironpost.state.directory import Directory
async def main():
    directory = Directory(Path(sys.argv[1]))
    for line in sys.stdin:
        if line == "end\\n":
            break
        first, last = map(int, line.split())
        for number in range(first, last):
            await directory.add_account(f"u{number}@example.test", [])
        print("done", flush=True)
    print(directory.count_accounts(), flush=True)
    directory.close()
trio.run(main)
"""


async def test_two_processes_see_each_others_edits(directory: Directory, tmp_path: Path) -> None:
    await directory.add_domain("example.test")
    assert directory.resolve("u7", "example.test") is None  # remembered, and to be forgotten
    with subprocess.Popen(  # noqa: ASYNC220 - two lines pass each way, and the writer thread goes on meanwhile
        [sys.executable, "-c", OTHER_PROCESS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write("0 40\n")
        other.stdin.flush()
        for number in range(100, 140):
            await directory.add_account(f"u{number}@example.test", [])
        assert other.stdout.readline() == "done\n"
        assert directory.resolve("u7", "example.test") is not None
        other.stdin.write("end\n")
        other.stdin.flush()
        assert other.stdout.readline() == "80\n"
    ids = [account.id for account in directory.accounts()]
    assert len(set(ids)) == len(ids) == 80
