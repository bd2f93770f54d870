-- +goose Up
CREATE TABLE ledger (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    authority   TEXT NOT NULL,
    serial      TEXT NOT NULL,
    issuer      TEXT NOT NULL,
    subject     TEXT NOT NULL,
    profile     TEXT NOT NULL,
    issued_at   INTEGER NOT NULL,           -- seconds; 0: no issue is on record
    not_after   INTEGER NOT NULL,
    key         BLOB CHECK (length(key) = 32),
    certificate BLOB,
    revoked_at  INTEGER NOT NULL DEFAULT 0, -- 0: it is not
    reason      TEXT NOT NULL DEFAULT '',
    revocation  INTEGER,                    -- the order of them
    UNIQUE (authority, serial)
) STRICT;
CREATE UNIQUE INDEX ledger_by_revocation ON ledger (authority, revocation) WHERE revocation IS NOT NULL;

-- A key has one holder.
CREATE TABLE ledger_keys (
    authority   TEXT NOT NULL,
    key         BLOB NOT NULL CHECK (length(key) = 32),
    subject     TEXT NOT NULL,
    names       BLOB NOT NULL,
    compromised INTEGER NOT NULL DEFAULT 0 CHECK (compromised IN (0, 1)),
    PRIMARY KEY (authority, key)
) STRICT, WITHOUT ROWID;

-- The latest revocation list: its number never goes back.
CREATE TABLE ledger_lists (
    authority   TEXT PRIMARY KEY,
    number      INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    next_update INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER ledger_is_not_shortened BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'what was issued stays on record'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER ledger_revocations_are_for_good BEFORE UPDATE ON ledger
WHEN old.revoked_at <> 0 OR new.revoked_at = 0 OR new.authority <> old.authority OR new.serial <> old.serial
BEGIN SELECT RAISE(ABORT, 'a revocation is for good'); END;
-- +goose StatementEnd
