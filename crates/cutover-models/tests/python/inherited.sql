CREATE SCHEMA IF NOT EXISTS s;
CREATE TYPE color AS ENUM ('RED', 'BLUE');
CREATE TABLE person (
    id bigserial NOT NULL,
    name varchar(77),
    kind varchar(77),
    said varchar(77) NOT NULL,
    type varchar(77) NOT NULL,
    born timestamp with time zone,
    raw bytea,
    note varchar(77),
    car varchar(77),
    CONSTRAINT pk_person PRIMARY KEY (id)
);
CREATE TABLE engineer (
    id bigint NOT NULL,
    lang varchar(77) NOT NULL,
    CONSTRAINT pk_engineer PRIMARY KEY (id)
);
CREATE TABLE thing (
    id uuid NOT NULL,
    color color NOT NULL,
    core bigint NOT NULL,
    counted bigint NOT NULL GENERATED ALWAYS AS IDENTITY (INCREMENT BY 5 START WITH 10),
    small smallint,
    by bigint NOT NULL,
    owner_id bigint NOT NULL,
    other_id bigint,
    CONSTRAINT pk_thing PRIMARY KEY (id)
);
CREATE TABLE s.child (
    id integer NOT NULL,
    thing_id uuid NOT NULL,
    eng bigint NOT NULL,
    small smallint NOT NULL,
    CONSTRAINT pk_child PRIMARY KEY (id)
);
CREATE TABLE s.grandchild (
    id uuid NOT NULL,
    a uuid NOT NULL,
    code varchar(77) NOT NULL,
    CONSTRAINT pk_grandchild PRIMARY KEY (id)
);
CREATE TABLE pair (
    a bigserial NOT NULL,
    b bigint NOT NULL,
    CONSTRAINT pk_pair PRIMARY KEY (a, b)
);
ALTER TABLE person ADD UNIQUE (name) DEFERRABLE;
ALTER TABLE person ADD CONSTRAINT pos CHECK (id > 0);
CREATE INDEX ix_person_type ON person (type);
COMMENT ON TABLE person IS 'people';
ALTER TABLE thing ADD UNIQUE (small);
CREATE UNIQUE INDEX ix_s_child_thing_id ON s.child (thing_id);
CREATE INDEX ix_s_grandchild_code ON s.grandchild (code);
ALTER TABLE engineer ADD CONSTRAINT fk_engineer_id_person FOREIGN KEY (id) REFERENCES person (id);
ALTER TABLE thing ADD CONSTRAINT fk_thing_by_person FOREIGN KEY (by) REFERENCES person (id);
ALTER TABLE thing ADD CONSTRAINT fk_thing_owner_id_person FOREIGN KEY (owner_id) REFERENCES person (id);
ALTER TABLE thing ADD CONSTRAINT fk_thing_other_id_person FOREIGN KEY (other_id) REFERENCES person (id);
ALTER TABLE s.child ADD CONSTRAINT fk_child_thing_id_thing FOREIGN KEY (thing_id) REFERENCES thing (id) MATCH FULL ON UPDATE CASCADE DEFERRABLE;
ALTER TABLE s.child ADD CONSTRAINT fk_child_eng_engineer FOREIGN KEY (eng) REFERENCES engineer (id);
ALTER TABLE s.child ADD CONSTRAINT fk_child_small_thing FOREIGN KEY (small) REFERENCES thing (small);
ALTER TABLE s.grandchild ADD CONSTRAINT fk_grandchild_id_child FOREIGN KEY (id) REFERENCES s.child (thing_id);
ALTER TABLE s.grandchild ADD CONSTRAINT own FOREIGN KEY (a) REFERENCES s.child (thing_id) MATCH FULL DEFERRABLE INITIALLY DEFERRED;
-- line 60: the sequence of Thing.core: Sequence("core_s")
-- line 68: the sequence of Child.id: Sequence("my_seq")
