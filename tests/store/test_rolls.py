import hashlib
import json
from pathlib import Path

from tests.store.helpers import CAMPAIGN_ID, SEED, a_call, campaign_file, draft, roll, rows, secret_roll
from ttrpg_mcp.play.ports import RollEntry, Unit
from ttrpg_mcp.rules.dice import StreamChance, commitment, open_half, secret_half
from ttrpg_mcp.store.connection import Value
from ttrpg_mcp.store.rolls import roll_hash
from ttrpg_mcp.store.store import SqliteStore

COMMIT = bytes.fromhex(commitment(CAMPAIGN_ID, SEED))


async def test_the_faces_come_from_the_epoch_s_open_half_and_the_roll_number(store: SqliteStore) -> None:
    totals = [(await store.write(a_call(str(number)), roll)).total for number in (1, 2, 3)]

    expected = [StreamChance(open_half(SEED), 1, number).draw(1, 20)[0] for number in (1, 2, 3)]
    assert [str(face) for face in expected] == totals


async def test_secret_rolls_come_from_the_secret_half(store: SqliteStore) -> None:
    entry = await store.write(a_call("one"), secret_roll)

    assert str(StreamChance(secret_half(SEED), 1, 1).draw(1, 20)[0]) == entry.total


async def test_the_first_roll_opens_an_epoch_with_its_commitment(store: SqliteStore, data: Path) -> None:
    await store.write(a_call("one"), roll)
    await store.write(a_call("two"), lambda unit: _roll_with(unit, bytes(32)))
    await store.close()

    assert [
        {
            "campaign_id": CAMPAIGN_ID,
            "epoch": 1,
            "commit_hash": COMMIT,
            "seed": SEED,
            "client_seed": "",
            "first_roll": 1,
            "opened_at_ms": 2_000,
            "prev_hash": b"",
        }
    ] == rows(campaign_file(data), "SELECT * FROM roll_epoch")


def _roll_with(unit: Unit, seed: bytes) -> bytes:
    stream = unit.rolls.next_stream(seed)
    unit.rolls.save(stream, draft(3))
    return stream.commit


async def test_a_stream_carries_the_commitment_of_the_open_epoch(store: SqliteStore) -> None:
    commits = [await store.write(a_call(str(n)), lambda unit: _roll_with(unit, SEED)) for n in range(2)]

    assert [COMMIT, COMMIT] == commits


async def test_a_unit_that_fails_and_runs_again_gets_the_same_dice(store: SqliteStore) -> None:
    drawn: list[RollEntry] = []

    def fail_once(unit: Unit) -> RollEntry:
        drawn.append(roll(unit))
        if len(drawn) == 1:
            raise LookupError
        return drawn[-1]

    try:
        await store.write(a_call("one"), fail_once)
    except LookupError:
        await store.write(a_call("one"), fail_once)

    assert drawn[0] == drawn[1]


async def test_every_roll_is_chained_to_the_one_before(store: SqliteStore, data: Path) -> None:
    for number in range(5):
        await store.write(a_call(str(number)), secret_roll if number % 2 else roll)
    await store.close()

    log = rows(campaign_file(data), "SELECT * FROM roll ORDER BY number")
    prev_hashes = [COMMIT, *(row["row_hash"] for row in log[:-1])]
    assert prev_hashes == [row["prev_hash"] for row in log]
    assert [row["row_hash"] for row in log] == [
        roll_hash(prev_hash, row) for prev_hash, row in zip(prev_hashes, log, strict=True)
    ]


async def test_the_hash_is_what_a_stand_alone_checker_computes(store: SqliteStore, data: Path) -> None:
    await store.write(a_call("one"), roll)
    await store.close()

    [row] = rows(campaign_file(data), "SELECT * FROM roll")
    columns = {name: value for name, value in row.items() if name not in {"prev_hash", "row_hash"}}
    text = json.dumps(columns, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(b"ttrpg-roll-v1" + COMMIT + text.encode()).digest() == row["row_hash"]


def test_every_column_counts_for_the_hash() -> None:
    row: dict[str, Value] = {"number": 1, "total": "3", "salt": b"s"}
    hashes = {roll_hash(b"", row)} | {roll_hash(b"", {**row, name: None}) for name in row} | {roll_hash(b"x", row)}

    assert 5 == len(hashes)


async def test_only_hidden_rolls_are_salted(store: SqliteStore, data: Path) -> None:
    await store.write(a_call("one"), roll)
    await store.write(a_call("two"), secret_roll)
    await store.close()

    assert [None, 16] == [row["size"] for row in rows(campaign_file(data), "SELECT length(salt) AS size FROM roll")]


async def test_rolls_are_paged_newest_first(store: SqliteStore) -> None:
    for number in range(5):
        await store.write(a_call(str(number)), roll)

    def page(before: int | None, since: int) -> list[int]:
        return [entry.number for entry in pages[before, since]]

    pages = {
        (before, since): await store.read(
            a_call(),
            lambda unit, before=before, since=since: unit.rolls.page(before=before, since=since, limit=2),  # type: ignore[misc]
        )
        for before, since in ((None, 0), (4, 0), (None, 5))
    }
    assert [[5, 4], [3, 2], [5]] == [page(None, 0), page(4, 0), page(None, 5)]
