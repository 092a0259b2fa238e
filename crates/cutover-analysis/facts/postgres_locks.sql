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

-- Keys, and what follows them.
CREATE TABLE kp (id int PRIMARY KEY, code varchar(10) UNIQUE, n int);
CREATE TABLE kc (id int PRIMARY KEY, kp_id int REFERENCES kp ON DELETE CASCADE, code varchar(10) REFERENCES kp (code) ON UPDATE CASCADE);
CREATE TABLE kcc (a int, kc_id int REFERENCES kc (id) ON DELETE SET NULL);
CREATE TABLE kr (a int, kp_id int REFERENCES kp);
CREATE TABLE fp (id int PRIMARY KEY, a int);
CREATE TABLE fc (id int PRIMARY KEY, fp_id int REFERENCES fp ON DELETE CASCADE);
CREATE TABLE fcc (a int, fc_id int REFERENCES fc ON DELETE CASCADE);
INSERT INTO fp VALUES (1, 1);
INSERT INTO fc VALUES (1, 1);
INSERT INTO fcc VALUES (1, 1);
INSERT INTO kp VALUES (1, 'x', 1), (2, 'y', 2);
INSERT INTO kc VALUES (1, 1, 'y');
INSERT INTO kcc VALUES (1, 1);
INSERT INTO kr VALUES (1, 2);

-- Indexes and constraints over more than their key columns.
CREATE TABLE xt (a int, tx text, v varchar(10), w varchar(10), z varchar(10), CONSTRAINT xt_check CHECK (v <> ''));
CREATE INDEX xt_expr ON xt (lower(tx));
CREATE INDEX xt_part ON xt (a) WHERE w <> '';
CREATE INDEX xt_incl ON xt (a) INCLUDE (z);
INSERT INTO xt VALUES (1, 'x', 'x', 'x', 'x');

-- Partitions of partitions, with keys on both sides.
CREATE TABLE kt (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE kt1 PARTITION OF kt FOR VALUES IN (1);
CREATE TABLE kt2 PARTITION OF kt FOR VALUES IN (2) PARTITION BY RANGE (id);
CREATE TABLE kt2a PARTITION OF kt2 FOR VALUES FROM (0) TO (100);
CREATE INDEX kt_k_idx ON kt (k);
INSERT INTO kt VALUES (1, 1), (1, 2);
CREATE TABLE kt_new (id int NOT NULL, k int NOT NULL);
CREATE TABLE kt_ref (id int, k int, FOREIGN KEY (id, k) REFERENCES kt);
INSERT INTO kt_ref VALUES (1, 2);
CREATE TABLE ot (a int, b int REFERENCES kp) PARTITION BY RANGE (a);
CREATE TABLE ot1 PARTITION OF ot FOR VALUES FROM (0) TO (10);
INSERT INTO ot VALUES (1, 2);
CREATE TABLE ot_new (a int, b int);
CREATE TABLE pn (a int NOT NULL) PARTITION BY RANGE (a);
CREATE TABLE pn1 PARTITION OF pn FOR VALUES FROM (0) TO (10);
CREATE TABLE pn2 PARTITION OF pn FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (a);
CREATE TABLE pn2a PARTITION OF pn2 FOR VALUES FROM (10) TO (20);
INSERT INTO pn VALUES (1), (11);
CREATE TABLE strict (a int NOT NULL);
CREATE TABLE strict_child () INHERITS (strict);

-- Views, triggers and rules that lead writes elsewhere.
CREATE TABLE base (a int, b int);
INSERT INTO base VALUES (1, 1);
CREATE VIEW base_v AS SELECT a, b FROM base;
CREATE VIEW base_v2 AS SELECT a FROM base_v;
CREATE VIEW base_sub AS SELECT a FROM base WHERE a IN (SELECT a FROM kcc);
CREATE TABLE noise (a int);
CREATE TABLE noisy (a int);
INSERT INTO noisy VALUES (1);
CREATE FUNCTION make_noise() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO noise VALUES (1); RETURN NEW; END';
CREATE TRIGGER noisy_trg AFTER INSERT ON noisy FOR EACH ROW EXECUTE FUNCTION make_noise();
CREATE TABLE ruled (a int);
CREATE RULE ruled_rule AS ON INSERT TO ruled DO ALSO INSERT INTO noise VALUES (new.a);
CREATE TRIGGER ot_trg BEFORE INSERT ON ot FOR EACH STATEMENT EXECUTE FUNCTION trg();
CREATE TRIGGER ot_row BEFORE UPDATE ON ot1 FOR EACH ROW EXECUTE FUNCTION trg();
CREATE TRIGGER kt_stmt AFTER DELETE ON kt FOR EACH STATEMENT EXECUTE FUNCTION trg();
CREATE TRIGGER kt_row AFTER UPDATE ON kt FOR EACH ROW EXECUTE FUNCTION trg();

CREATE TYPE comp AS (a int, b int);
CREATE TABLE typed OF comp;
