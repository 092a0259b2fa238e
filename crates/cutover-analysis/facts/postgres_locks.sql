-- What every command in postgres_locks.tsv finds. `xtask locks` runs it before each measurement, and the tests of the
-- static rules learn from it what a statement before would have taught them.

CREATE TABLE p (id int PRIMARY KEY, n int);
CREATE TABLE t (
    id int PRIMARY KEY,
    a int,
    b int NOT NULL DEFAULT 1,
    p_id int,
    v10 varchar(10),
    v varchar,
    tx text,
    c5 char(5),
    num numeric(10, 2),
    ts timestamp,
    ts3 timestamp(3),
    js json,
    vb varbit(8),
    ci cidr,
    CONSTRAINT t_p_fk FOREIGN KEY (p_id) REFERENCES p,
    CONSTRAINT t_a_check CHECK (a > 0)
);
CREATE INDEX t_v10_idx ON t (v10);
CREATE INDEX t_tx_idx ON t (tx);
CREATE INDEX t_ts_idx ON t (ts);
CREATE UNIQUE INDEX t_a_idx ON t (a);
CREATE UNIQUE INDEX t_b_idx ON t (b);
INSERT INTO p VALUES (1, 1), (2, 2);
INSERT INTO t (id, a, b, p_id, v10, v, tx, ts, ts3, js, vb, ci)
VALUES (1, 1, 1, 1, 'x', 'x', 'x', '2024-01-01', '2024-01-01', '{}', '1', '10.0.0.0/8');
ALTER TABLE t ADD CONSTRAINT t_a_later CHECK (a < 1000) NOT VALID;
ALTER TABLE t ADD CONSTRAINT t_p_later FOREIGN KEY (p_id) REFERENCES p NOT VALID;

CREATE TABLE c (id int, p_id int REFERENCES p, CONSTRAINT c_check CHECK (id > 0));
CREATE TABLE free (a int);
CREATE TABLE nn (a int, b int, CONSTRAINT nn_a CHECK (a IS NOT NULL), CONSTRAINT nn_new CHECK (b IS NOT NULL) NOT VALID, c int);
INSERT INTO nn VALUES (1, 1, 1);
ALTER TABLE nn ADD CONSTRAINT nn_c CHECK (c IS NOT NULL) NOT VALID;
CREATE TABLE gen (a int, b int GENERATED ALWAYS AS (a * 2) STORED);
INSERT INTO gen VALUES (1);
CREATE TABLE ident (a int NOT NULL);
CREATE UNLOGGED TABLE unlogged (a int);
CREATE TABLE bigparent (a int);
CREATE TABLE heir (a int);
CREATE TABLE family (a int, CONSTRAINT family_check CHECK (a > 0));
CREATE TABLE child () INHERITS (family);

CREATE TABLE pt (a int) PARTITION BY RANGE (a);
CREATE TABLE pt1 PARTITION OF pt FOR VALUES FROM (0) TO (10);
CREATE TABLE newp (a int);
INSERT INTO newp VALUES (15);
CREATE TABLE newpc (a int NOT NULL, CONSTRAINT newpc_check CHECK (a >= 20 AND a < 30));
INSERT INTO newpc VALUES (25);
CREATE TABLE ptd (a int) PARTITION BY RANGE (a);
CREATE TABLE ptd1 PARTITION OF ptd FOR VALUES FROM (0) TO (10);
CREATE TABLE ptd_def PARTITION OF ptd DEFAULT;
INSERT INTO ptd VALUES (100);
CREATE TABLE newd (a int);
INSERT INTO newd VALUES (25);

CREATE VIEW vw AS SELECT id, a FROM t;
CREATE VIEW vw2 AS SELECT id FROM vw;
CREATE MATERIALIZED VIEW mv AS SELECT id, a FROM t;
CREATE UNIQUE INDEX mv_idx ON mv (id);
CREATE FUNCTION trg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION fn() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TRIGGER t_trg BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION trg();
CREATE RULE t_rule AS ON DELETE TO free DO ALSO NOTIFY gone;
CREATE POLICY t_policy ON t;
CREATE DOMAIN d_plain AS int;
CREATE DOMAIN d_check AS int CHECK (VALUE > 0);
CREATE DOMAIN d_used AS int;
CREATE TABLE used (a d_used);
INSERT INTO used VALUES (1);
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE SEQUENCE s;
CREATE STATISTICS t_stat ON a, b FROM t;
CREATE PUBLICATION pub FOR TABLE p;
CREATE ROLE cutover_locks_reader;
CREATE SCHEMA elsewhere;
