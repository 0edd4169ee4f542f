-- The campaign, its log of changes and calls, its answers under request keys, and its dice.
-- Tables that every write appends to are WITHOUT ROWID: one b-tree each, so a write touches a third fewer pages.

PRAGMA application_id = 1414812231; -- 0x54545247, "TTRG"

CREATE TABLE campaign (
    campaign_id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    system TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('open', 'paused', 'archived')),
    status_reason TEXT,
    settings TEXT NOT NULL CHECK (json_valid(settings)),
    head_seq INTEGER NOT NULL CHECK (head_seq >= 0),
    head_roll INTEGER NOT NULL CHECK (head_roll >= 0),
    commit_epoch INTEGER NOT NULL CHECK (commit_epoch >= 0),
    lineage TEXT NOT NULL,
    clean INTEGER NOT NULL CHECK (clean IN (0, 1)),
    app_version TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT;

CREATE TABLE changes (
    campaign_id TEXT NOT NULL,
    seq INTEGER NOT NULL CHECK (seq > 0),
    call_id TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    session_number INTEGER,
    entity TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    before TEXT CHECK (before IS NULL OR json_valid(before)), -- json_valid(NULL) is 0 in SQLite 3.40
    after TEXT CHECK (after IS NULL OR json_valid(after)),
    visibility TEXT NOT NULL CHECK (visibility IN ('gm', 'players') OR visibility GLOB 'player:?*'),
    PRIMARY KEY (campaign_id, seq),
    CHECK (before IS NOT NULL OR after IS NOT NULL)
) STRICT, WITHOUT ROWID;

CREATE INDEX changes_by_entity ON changes (campaign_id, entity, entity_id, seq);
CREATE INDEX changes_by_call ON changes (campaign_id, call_id);

CREATE TABLE call_log (
    campaign_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    seq_first INTEGER NOT NULL CHECK (seq_first > 0),
    seq_last INTEGER NOT NULL CHECK (seq_last >= seq_first),
    at_ms INTEGER NOT NULL,
    principal TEXT NOT NULL,
    tool TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('do', 'undo', 'redo', 'rollback', 'repair', 'import', 'system')),
    target_call TEXT,
    summary TEXT NOT NULL CHECK (length(summary) <= 200),
    undoable INTEGER NOT NULL CHECK (undoable IN (0, 1)),
    audience_seq TEXT NOT NULL CHECK (json_valid(audience_seq)),
    PRIMARY KEY (campaign_id, call_id, seq_first)
) STRICT, WITHOUT ROWID;

CREATE INDEX call_log_by_seq ON call_log (campaign_id, seq_last);
CREATE INDEX call_log_by_target ON call_log (campaign_id, target_call) WHERE target_call IS NOT NULL;

CREATE TABLE answer (
    campaign_id TEXT NOT NULL,
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    tool TEXT NOT NULL,
    call_id TEXT NOT NULL,
    seq INTEGER NOT NULL CHECK (seq >= 0),
    body TEXT NOT NULL CHECK (json_valid(body)),
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, principal, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE audience (
    campaign_id TEXT NOT NULL,
    audience TEXT NOT NULL CHECK (audience = 'players' OR audience GLOB 'player:?*'),
    seq INTEGER NOT NULL CHECK (seq > 0),
    PRIMARY KEY (campaign_id, audience)
) STRICT, WITHOUT ROWID;

CREATE TABLE roll (
    campaign_id TEXT NOT NULL,
    number INTEGER NOT NULL CHECK (number > 0),
    seq INTEGER NOT NULL CHECK (seq >= number),
    epoch INTEGER NOT NULL,
    call_id TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    principal TEXT NOT NULL,
    character_id TEXT,
    visibility TEXT NOT NULL CHECK (visibility IN ('gm', 'players') OR visibility GLOB 'player:?*'),
    expression TEXT NOT NULL,
    canonical TEXT NOT NULL,
    faces TEXT NOT NULL CHECK (json_valid(faces)),
    total TEXT NOT NULL,
    result TEXT NOT NULL CHECK (json_valid(result)),
    salt BLOB,
    prev_hash BLOB NOT NULL CHECK (length(prev_hash) = 32),
    row_hash BLOB NOT NULL CHECK (length(row_hash) = 32),
    PRIMARY KEY (campaign_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE roll_epoch (
    campaign_id TEXT NOT NULL,
    epoch INTEGER NOT NULL CHECK (epoch > 0),
    commit_hash BLOB NOT NULL CHECK (length(commit_hash) = 32),
    seed BLOB NOT NULL CHECK (length(seed) = 32),
    client_seed TEXT NOT NULL,
    first_roll INTEGER NOT NULL CHECK (first_roll > 0),
    opened_at_ms INTEGER NOT NULL,
    prev_hash BLOB NOT NULL CHECK (length(prev_hash) IN (0, 32)), -- empty in front of the first roll
    PRIMARY KEY (campaign_id, epoch)
) STRICT;

CREATE TABLE roll_mark (
    campaign_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    seq INTEGER NOT NULL CHECK (seq > 0),
    kind TEXT NOT NULL CHECK (kind IN ('undone', 'conflict', 'corrected', 'revealed')),
    detail TEXT NOT NULL CHECK (json_valid(detail)),
    PRIMARY KEY (campaign_id, number, seq)
) STRICT;

CREATE TRIGGER changes_keep BEFORE UPDATE ON changes BEGIN SELECT RAISE(ABORT, 'changes is append only'); END;
CREATE TRIGGER changes_stay BEFORE DELETE ON changes BEGIN SELECT RAISE(ABORT, 'changes is append only'); END;
CREATE TRIGGER call_log_keep BEFORE UPDATE ON call_log BEGIN SELECT RAISE(ABORT, 'call_log is append only'); END;
CREATE TRIGGER call_log_stay BEFORE DELETE ON call_log BEGIN SELECT RAISE(ABORT, 'call_log is append only'); END;
CREATE TRIGGER roll_keep BEFORE UPDATE ON roll BEGIN SELECT RAISE(ABORT, 'roll is append only'); END;
CREATE TRIGGER roll_stay BEFORE DELETE ON roll BEGIN SELECT RAISE(ABORT, 'roll is append only'); END;
CREATE TRIGGER roll_epoch_keep BEFORE UPDATE ON roll_epoch BEGIN SELECT RAISE(ABORT, 'roll_epoch is append only'); END;
CREATE TRIGGER roll_epoch_stay BEFORE DELETE ON roll_epoch BEGIN SELECT RAISE(ABORT, 'roll_epoch is append only'); END;
CREATE TRIGGER roll_mark_keep BEFORE UPDATE ON roll_mark BEGIN SELECT RAISE(ABORT, 'roll_mark is append only'); END;
CREATE TRIGGER roll_mark_stay BEFORE DELETE ON roll_mark BEGIN SELECT RAISE(ABORT, 'roll_mark is append only'); END;
