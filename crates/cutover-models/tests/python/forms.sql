CREATE TYPE color AS ENUM ('r', 'b');
CREATE TYPE level AS ENUM ('1', '2');
CREATE TYPE side AS ENUM ('left', 'right');
CREATE TYPE names AS ENUM ('RED', 'BLUE');
CREATE TYPE lowered AS ENUM ('red', 'blue');
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TYPE wrapped AS ENUM ('R', 'B');
CREATE TABLE mapping (
    id serial NOT NULL,
    color color NOT NULL,
    level level,
    word varchar(40) NOT NULL,
    side side NOT NULL,
    tags varchar[] NOT NULL,
    more varchar[],
    numbers integer[] NOT NULL,
    doc jsonb NOT NULL,
    text text NOT NULL,
    short varchar(5) NOT NULL,
    "none" text,
    PRIMARY KEY (id)
);
CREATE TABLE "values" (
    id serial NOT NULL,
    names names NOT NULL,
    lowered lowered NOT NULL,
    by_value mood NOT NULL,
    wrapped wrapped NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE beside (
    id serial NOT NULL,
    b text,
    PRIMARY KEY (id)
);
CREATE TABLE parts (
    id serial NOT NULL,
    x1 integer NOT NULL,
    y1 text,
    x2 integer,
    y2 integer,
    x integer NOT NULL,
    y integer,
    whole integer NOT NULL,
    opened text NOT NULL,
    span interval(2),
    ident char(32),
    at timestamp without time zone,
    kept varchar(5) COLLATE "C",
    typed integer NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE "inner" (
    id serial NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE unmapped (
    id serial NOT NULL,
    n integer,
    PRIMARY KEY (id)
);
CREATE TABLE decorated (
    id serial NOT NULL,
    word varchar(7) NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE dataclass (
    id serial NOT NULL,
    word varchar(7) NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE cat (
    text varchar NOT NULL,
    general integer NOT NULL,
    id serial NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE dogs (
    n text,
    id serial NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE bird (
    n text,
    id serial NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE view (
    id serial NOT NULL,
    name varchar(9),
    extra integer,
    PRIMARY KEY (id)
);
CREATE TABLE imperative (
    id serial NOT NULL,
    PRIMARY KEY (id)
);
ALTER TABLE beside ADD CONSTRAINT rest_b UNIQUE (b);
CREATE INDEX beside_b ON beside (b);
CREATE INDEX ix_parts_opened ON parts (opened);
