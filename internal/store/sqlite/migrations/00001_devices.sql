-- Times are milliseconds since 1970; 0 is never.

-- +goose Up
CREATE TABLE devices (
    id           TEXT PRIMARY KEY CHECK (id <> ''),
    state        TEXT NOT NULL CHECK (state IN ('provisioned', 'ready', 'active', 'suspended', 'revoked', 'retired')),
    labels       TEXT NOT NULL,              -- a JSON object; the table labels finds by them
    notes        TEXT NOT NULL,
    created      INTEGER NOT NULL,
    first_seen   INTEGER NOT NULL DEFAULT 0,
    last_seen    INTEGER NOT NULL DEFAULT 0,
    last_address TEXT NOT NULL DEFAULT '',
    revision     INTEGER NOT NULL,           -- entries of the trail
    head         BLOB NOT NULL               -- the hash of the last of them
) STRICT, WITHOUT ROWID;
CREATE INDEX devices_by_state ON devices (state, id);
CREATE INDEX devices_by_seen ON devices (state, last_seen, id);

CREATE TABLE labels (
    key    TEXT NOT NULL,
    value  TEXT NOT NULL,
    state  TEXT NOT NULL,                    -- of the device, so that both are one search
    device TEXT NOT NULL,
    PRIMARY KEY (key, value, state, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE credentials (
    fingerprint BLOB PRIMARY KEY CHECK (length(fingerprint) = 32),
    device      TEXT NOT NULL REFERENCES devices (id),
    serial      TEXT NOT NULL,
    issuer      TEXT NOT NULL,
    not_before  INTEGER NOT NULL,
    not_after   INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('valid', 'revoked')),
    added       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX credentials_by_device ON credentials (device, added);

CREATE TABLE trail (
    device     TEXT NOT NULL,
    number     INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    who        TEXT NOT NULL,
    what       TEXT NOT NULL,
    why        TEXT NOT NULL,
    from_state TEXT NOT NULL,
    to_state   TEXT NOT NULL,
    detail     TEXT NOT NULL,
    hash       BLOB NOT NULL,
    PRIMARY KEY (device, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE changes (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    at   INTEGER NOT NULL,
    noun TEXT NOT NULL,
    key  TEXT NOT NULL
) STRICT;

-- Up to here the log was pruned: one row.
CREATE TABLE changes_pruned (seq INTEGER NOT NULL) STRICT;
INSERT INTO changes_pruned VALUES (0);

-- +goose StatementBegin
CREATE TRIGGER trail_is_not_altered BEFORE UPDATE ON trail
BEGIN SELECT RAISE(ABORT, 'the trail of a device cannot be altered'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER trail_is_not_shortened BEFORE DELETE ON trail
BEGIN SELECT RAISE(ABORT, 'the trail of a device cannot be shortened'); END;
-- +goose StatementEnd
-- INSERT OR REPLACE asks no trigger about what it deletes.
-- +goose StatementBegin
CREATE TRIGGER trail_goes_on BEFORE INSERT ON trail
WHEN new.number <> 1 + (SELECT coalesce(max(number), 0) FROM trail WHERE device = new.device)
BEGIN SELECT RAISE(ABORT, 'the trail of a device goes on with its next number'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER devices_are_not_deleted BEFORE DELETE ON devices
BEGIN SELECT RAISE(ABORT, 'a device is not deleted but retired'); END;
-- +goose StatementEnd
