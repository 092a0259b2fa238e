//! What classes mean. The two files of `tests/python` were made into tables by SQLAlchemy 2.1.9 and SQLModel 0.0.50 on PostgreSQL 15
//! and by what is expected here, and were the same but for the order of columns.
#![allow(clippy::unwrap_used, reason = "what fails here has failed the test")]

use expect_test::{expect, expect_file};

use super::SOURCE;
use crate::model::{Aspect, Place, Unsaid, ddl};
use crate::source::{File, Settings};

/// What a file comes to: its statements, and what is not understood.
fn told(text: &str, sqlmodel: &str) -> String {
    let file = File { path: "models.py".to_owned(), text: text.to_owned() };
    let settings = Settings { sqlmodel: sqlmodel.to_owned(), ..Settings::default() };
    let models = SOURCE.read(&[file], &settings);
    let left: Vec<String> =
        models.unsupported.iter().map(|one| format!("-- line {}: {}\n", one.place.line, one.what)).collect();
    ddl(&models).text() + &left.concat()
}

#[test]
fn declarative_classes_are_what_sqlalchemy_makes_of_them() {
    expect_file!["../../tests/python/declarative.sql"]
        .assert_eq(&told(include_str!("../../tests/python/declarative.py"), ""));
}

#[test]
fn classes_of_sqlmodel_are_what_it_makes_of_them() {
    let text = include_str!("../../tests/python/sqlmodel.py");
    expect_file!["../../tests/python/sqlmodel.sql"].assert_eq(&told(text, "0.0.50"));
    // What a datetime is was another thing before.
    let before = told(text, "0.0.44");
    assert!(before.contains("at timestamp NOT NULL"), "{before}");
    assert!(told(text, "").contains("a datetime is another type from SQLModel 0.0.45 on"));
}

/// The file of this one was held against what SQLAlchemy 2.1.9 makes of it, as the others were.
#[test]
fn inherited_tables_types_that_follow_and_options_are_those_of_sqlalchemy() {
    expect_file!["../../tests/python/inherited.sql"]
        .assert_eq(&told(include_str!("../../tests/python/inherited.py"), ""));
}

/// The same: SQLAlchemy 2.1.9 makes of it what is expected here.
#[test]
fn other_forms_of_declarations_are_what_sqlalchemy_makes_of_them() {
    expect_file!["../../tests/python/forms.sql"]
        .assert_eq(&told(include_str!("../../tests/python/forms.py"), ""));
}

/// Each of these may be a column, a key or a table: none is passed over, and what it may change is open.
#[test]
fn what_cannot_be_known_is_named_and_open() {
    let text = include_str!("../../tests/python/unknown.py");
    let file = File { path: "models.py".to_owned(), text: text.to_owned() };
    let models = SOURCE.read(&[file], &Settings::default());
    let mut open: Vec<String> = Vec::new();
    for table in &models.tables {
        open.push(format!("{} {:?} {:?}\n", table.name, table.unstated, table.unread));
        let columns = table.columns.iter().filter(|column| !column.unstated.is_empty());
        open.extend(columns.map(|column| format!("  {} {:?}\n", column.name, column.unstated)));
    }
    let named = models.unsupported.iter().map(|one| format!("{}: {}\n", one.place.line, one.what));
    open.extend(named);
    open.push(format!("perhaps {:?}\n", models.perhaps));
    expect_file!["../../tests/python/unknown.txt"].assert_eq(&open.concat());
}

/// What SQLAlchemy 2.1.9 has in `app`, 2.0 has in the schema of the session.
#[test]
fn the_schema_of_an_enumeration_is_open_where_versions_differ() {
    let text = r#"
import enum
from sqlalchemy import *
from sqlalchemy.orm import *
class Color(enum.Enum):
    red = 1
class Base(DeclarativeBase):
    metadata = MetaData(schema="app")
class A(Base):
    __tablename__ = "a"
    id: Mapped[int] = mapped_column(primary_key=True)
    a: Mapped[Color]
    b = Column(Enum(Color, name="other"))
    c = Column(Enum(Color, name="third", schema="app"))
"#;
    expect![[r#"
        CREATE SCHEMA IF NOT EXISTS app;
        CREATE TYPE color AS ENUM ('red');
        CREATE TYPE app.third AS ENUM ('red');
        CREATE TABLE app.a (
            id serial NOT NULL,
            a color NOT NULL,
            b text,
            c app.third,
            PRIMARY KEY (id)
        );
        -- line 13: the type of A.b: Enum(Color, name="other"): in SQLAlchemy 2.1 its schema is that of the MetaData, and before that it is not; schema= says it
    "#]]
    .assert_eq(&told(text, ""));
}

/// SQLModel 0.0.50 with pydantic 2.14 makes of it what is expected here.
#[test]
fn lengths_of_sqlmodel_are_those_that_it_takes() {
    let text = r"
from sqlmodel import SQLModel, Field
from pydantic import constr, condecimal, StringConstraints
from annotated_types import MaxLen
class A(SQLModel, table=True):
    id: int = Field(primary_key=True)
    s: constr(max_length=12)
    t: Annotated[str, StringConstraints(max_length=12)]
    u: Annotated[str, MaxLen(12)]
    v: Annotated[str, Field(max_length=12)]
    w: condecimal(max_digits=5, decimal_places=2)
    x: constr(max_length=12) = Field(max_length=7)
    y: Annotated[Optional[str], Field(max_length=13)] = None
    z: Optional[Annotated[str, Field(max_length=13)]] = None
    open: str = Field(**options)
    long: str = Field(max_length=settings.LONG)
    made: str = Field(sa_column=make())
    own: int = OwnField(5)
class B(Elsewhere, table=True):
    id: int = Field(primary_key=True)
";
    expect![[r"
        CREATE TABLE a (
            id serial NOT NULL,
            s varchar NOT NULL,
            t varchar NOT NULL,
            u varchar(12) NOT NULL,
            v varchar(12) NOT NULL,
            w numeric(5, 2) NOT NULL,
            x varchar(7) NOT NULL,
            y varchar(13),
            z varchar,
            open varchar NOT NULL,
            long text NOT NULL,
            own integer NOT NULL,
            PRIMARY KEY (id)
        );
        CREATE TABLE b (
            id serial NOT NULL,
            PRIMARY KEY (id)
        );
        -- line 15: what A.open is made with: **options
        -- line 16: the type of A.long: max_length=settings.LONG
        -- line 17: the column of A.made: make()
        -- line 18: what A.own is made with: OwnField(5)
        -- line 19: the base Elsewhere of B: it is in no file, and may have more columns
    "]]
    .assert_eq(&told(text, "0.0.50"));
}

#[test]
fn names_follow_the_convention_that_is_said() {
    let text = r#"
from sqlalchemy import *
from sqlalchemy.orm import declarative_base
convention = {"ix": "i_%(table_name)s_%(column_0_N_name)s", "uq": "u_%(table_name)s_%(column_0_name)s",
              "ck": "c_%(table_name)s_%(constraint_name)s", "fk": "f_%(table_name)s_%(column_0_name)s_%(referred_table_name)s"}
Base = declarative_base(metadata=MetaData(naming_convention=convention, schema="app"))
class A(Base):
    __tablename__ = "a"
    id = Column(Integer, primary_key=True)
    b = Column(Text, unique=True)
    c = Column(Text, index=True)
    d = Column(ForeignKey("app.a.id"))
    __table_args__ = (CheckConstraint("b <> ''", name="b_there"), Index(None, "b", "c"))
"#;
    expect![[r"
        CREATE SCHEMA IF NOT EXISTS app;
        CREATE TABLE app.a (
            id serial NOT NULL,
            b text,
            c text,
            d integer,
            PRIMARY KEY (id)
        );
        ALTER TABLE app.a ADD CONSTRAINT u_a_b UNIQUE (b);
        ALTER TABLE app.a ADD CONSTRAINT c_a_b_there CHECK (b <> '');
        CREATE INDEX i_a_c ON app.a (c);
        CREATE INDEX i_a_b_c ON app.a (b, c);
        ALTER TABLE app.a ADD CONSTRAINT f_a_d_a FOREIGN KEY (d) REFERENCES app.a (id);
    "]]
    .assert_eq(&told(text, ""));
}

#[test]
fn what_is_not_understood_is_named_with_its_line() {
    let text = r#"
from sqlalchemy import Column, Integer, CheckConstraint, Index
from sqlalchemy_utils import URLType
class A(Base):
    __tablename__ = "a"
    id = Column(Integer, primary_key=True)
    url = Column(URLType)
    n = Column(Integer, CheckConstraint(n > 1), server_default=made_up())
    __table_args__ = (Index("i", n, postgresql_where=(n > 2)), ExcludeConstraint(("n", "=")))
class B(Base):
    __tablename__ = name_of("b")
    id = Column(Integer, primary_key=True)
def f(:
"#;
    expect![[r#"
        CREATE TABLE a (
            id serial NOT NULL,
            url text,
            n integer,
            PRIMARY KEY (id)
        );
        -- line 13: this is no Python
        -- line 7: the type of A.url: URLType
        -- line 8: the default of A.n: made_up()
        -- line 8: a check of a: n > 1
        -- line 9: the index i of a
        -- line 9: ExcludeConstraint of a
        -- line 10: the name of B's table (line 11): name_of("b")
    "#]]
    .assert_eq(&told(text, ""));
}

#[test]
fn what_is_not_known_of_a_column_leaves_its_table_as_it_is() {
    let text = "from sqlalchemy import *\nclass Own(TypeDecorator):\n    impl = Made()\n\
                class A(Base):\n    __tablename__ = 'a'\n    id = Column(Integer, primary_key=True)\n    \
                b = Column(Integer, ForeignKey(made_up()))\n    c = Column(Own, ForeignKey('b.id'), unique=True)\n";
    let file = File { path: "models.py".to_owned(), text: text.to_owned() };
    let models = SOURCE.read(&[file], &Settings::default());
    let table = &models.tables[0];
    assert!(table.unstated.is_empty(), "{:?}", table.unstated);
    let open: Vec<Vec<Aspect>> =
        table.columns.iter().map(|column| column.unstated.iter().copied().collect()).collect();
    assert_eq!(open, [vec![], vec![Aspect::ForeignKey], vec![Aspect::Type]]);
    assert_eq!((table.uniques.len(), table.foreign_keys.len()), (1, 1));
}

/// What SQLAlchemy 2.1.9 makes of the same.
#[test]
fn classes_share_what_their_mixins_and_parents_say() {
    let text = r#"
from sqlalchemy import *
from sqlalchemy.orm import *
class Base(DeclarativeBase): pass
class Kept(Base):
    __abstract__ = True
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
class Priced:
    price: Mapped[int] = mapped_column(Integer, nullable=True)
class Item(Priced, Kept):
    __tablename__ = "items"
    kind: Mapped[str] = mapped_column(String(5), primary_key=True)
    _note = Column("note", Text)
    __table_args__ = (Index("i_note", _note), {"schema": None})
class Colored:
    color: Mapped[str] = mapped_column(Text, nullable=True)
class Red(Colored, Item):
    kind: Mapped[str] = mapped_column(use_existing_column=True)
    if TYPE_CHECKING:
        price: Mapped[Literal[5]]
class Dark(Red):
    shade: Mapped[int] = mapped_column(Integer, nullable=True)
class Again(Base):
    __tablename__ = "items"
    other = Column(Text, primary_key=True)
class Foreign(Base, ElsewhereMixin):
    __tablename__ = "foreign"
    own = Column(Text)
"#;
    expect![[r#"
        CREATE TABLE items (
            kind varchar(5) NOT NULL,
            note text,
            price integer,
            id integer NOT NULL,
            color text,
            shade integer,
            PRIMARY KEY (kind, id)
        );
        CREATE TABLE "foreign" (
            own text
        );
        CREATE INDEX i_note ON items (note);
        -- line 23: a second table items: Again
        -- line 26: the base ElsewhereMixin of Foreign: it is in no file, and may have more columns
    "#]]
    .assert_eq(&told(text, ""));
}

/// The same; an index without columns is none.
#[test]
fn keys_names_and_defaults_that_are_said_in_roundabout_ways() {
    let text = r#"
import enum
from sqlalchemy import *
class State(str, enum.Enum):
    OPEN = "open"
WORD = "it"
class A(Base):
    __tablename__ = "a"
    id = Column(Integer)
    state = Column(String(9), server_default=State.OPEN)
    word = Column(Text, server_default=text(f"'{WORD}'"), unique=True)
    mail = Column(Text)
    __table_args__ = (PrimaryKeyConstraint("id"), UniqueConstraint("word"), Index(f"i_{__tablename__}_mail", func.lower(Column("mail"))),
        Index("i_one", "state", unique=True, postgresql_nulls_not_distinct=True, postgresql_where=text("mail <> ''")))
class B(Base):
    __tablename__ = "b"
    id = Column(Integer, primary_key=True)
    __table_args__ = (ForeignKeyConstraint((id,), ["a.id"], name="b_a"), Index(f"i_{unknown}", "id"), Index("none"))
"#;
    expect![[r#"
        CREATE TABLE a (
            id serial NOT NULL,
            state varchar(9) DEFAULT 'open',
            word text DEFAULT 'it',
            mail text,
            PRIMARY KEY (id)
        );
        CREATE TABLE b (
            id integer NOT NULL,
            PRIMARY KEY (id)
        );
        ALTER TABLE a ADD UNIQUE (word);
        CREATE INDEX i_a_mail ON a (lower(mail));
        CREATE UNIQUE INDEX i_one ON a (state) NULLS NOT DISTINCT WHERE mail <> '';
        ALTER TABLE b ADD CONSTRAINT b_a FOREIGN KEY (id) REFERENCES a (id);
        -- line 18: the index f"i_{unknown}" of b
        -- line 18: the index none of b
    "#]]
    .assert_eq(&told(text, ""));
}

#[test]
fn a_type_that_chooses_for_itself_is_not_understood() {
    let text = r#"
from sqlalchemy import *
class Plain(TypeDecorator):
    impl = String
class Choosing(TypeDecorator):
    impl = Text
    def load_dialect_impl(self, dialect):
        return dialect.type_descriptor(JSONB())
class Making(TypeDecorator):
    impl = String
    def __init__(self, of, **more):
        super().__init__(**more)
class A(Base):
    __tablename__ = "a"
    id = Column(Plain(length=7), primary_key=True)
    b = Column(Choosing)
    c = Column(Making(int, length=5))
    d = Column(String(length=LONGEST))
"#;
    let told = told(text, "");
    assert!(told.contains("id varchar(7) NOT NULL"), "{told}");
    for line in [
        "line 16: the type of A.b: Choosing",
        "line 17: the type of A.c: Making(int, length=5)",
        "line 18: the type of A.d: String(length=LONGEST)",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
}

/// What SQLAlchemy makes of it has more tables and columns: none of that is passed over.
#[test]
fn what_is_made_aside_of_classes_is_named_and_leaves_its_table_open() {
    let text = include_str!("../../tests/python/aside.py");
    let file = File { path: "models.py".to_owned(), text: text.to_owned() };
    let models = SOURCE.read(&[file], &Settings::default());
    let open: Vec<String> = models
        .tables
        .iter()
        .map(|table| format!("{} {:?}\n", table.name, table.unstated.iter().collect::<Vec<_>>()))
        .collect();
    let named: Vec<String> =
        models.unsupported.iter().map(|one| format!("{}: {}\n", one.place.line, one.what)).collect();
    let perhaps: Vec<&str> = models.perhaps.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(perhaps, ["dyn", "dyn2"]);
    expect![[r#"
        plain []
        a [Columns]
        b [Columns]
        c [Columns]
        d [Columns]
        e [Columns, Unique, ForeignKey, Check]
        f [Columns]
        g []
        16: a table whose name or schema is not known: Table(name, Base.metadata, Column("n", Integer))
        17: the name of Each's table (line 18): name
        26: what may be a column of A: made = col(3)
        30: what may be a column of B: word = elsewhere(3)
        34: what may be a column of C: locals()["zz"] = mapped_column(Text)
        36: what may be a column of C: vars()[name] = Column(Integer)
        49: what may be a column of F: short = short()
        9: the model T that make() makes: which tables there are of it is not known
        13: a table that table() makes: Table(name, Base.metadata, Column("n", Integer))
        20: the model Dyn = type("Dyn", [Base], {…})
        21: the model globals()["Dyn2"] = type("Dyn2", [Base], {…})
        40: a column behind its class: D.late = mapped_column(Integer)
        44: setattr(E, "e", mapped_column(Integer))
        45: E.__table__.append_constraint(UniqueConstraint("id"))
        59: F.__table__.append_column(Column("more", Integer))
        61: event.listen(G.__table__, "after_create", DDL("ALTER TABLE g ADD x int"))
    "#]]
    .assert_eq(&(open.concat() + &named.concat()));
}

/// As SQLAlchemy and SQLModel have it.
#[test]
fn names_that_are_put_together_intervals_and_fields_that_are_said_anew() {
    let text = r#"
from sqlalchemy import *
from sqlalchemy.dialects.postgresql import INTERVAL
from sqlmodel import SQLModel, Field
PREFIX = "pre"
class A(Base):
    __tablename__ = PREFIX + "fix"
    id = Column(Integer, primary_key=True)
    a = Column(INTERVAL(fields="DAY TO SECOND", precision=2))
    b = Column(INTERVAL)
class HeroBase(SQLModel):
    name: str = Field(index=True, unique=False)
    word: str = Field(unique=True)
class Hero(HeroBase, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(index=False)
"#;
    expect![[r"
        CREATE TABLE prefix (
            id serial NOT NULL,
            a interval DAY TO SECOND(2),
            b interval,
            PRIMARY KEY (id)
        );
        CREATE TABLE hero (
            word varchar NOT NULL,
            id serial NOT NULL,
            name varchar NOT NULL,
            PRIMARY KEY (id)
        );
        ALTER TABLE hero ADD UNIQUE (word);
    "]]
    .assert_eq(&told(text, "0.0.50"));
}

/// As SQLAlchemy 2.1.9 has it.
#[test]
fn an_enumeration_that_is_a_text_may_have_a_check() {
    let text = r#"
import enum
from sqlalchemy import *
from sqlalchemy.orm import *
class Color(enum.Enum):
    RED = 1
    GREEN = 2
class Base(DeclarativeBase):
    metadata = MetaData(naming_convention={"ck": "ck_%(table_name)s_%(constraint_name)s"})
class A(Base):
    __tablename__ = "a"
    id: Mapped[int] = mapped_column(primary_key=True)
    c = Column(Enum(Color, native_enum=False, create_constraint=True))
    d = Column(Enum("x", "it's", native_enum=False, create_constraint=True, name="dd", length=9))
    e = Column(Enum("x", "y", native_enum=False, create_constraint=True))
    f = Column(Enum(Color, native_enum=False))
    g = Column(Boolean(create_constraint=True, name="bb"))
"#;
    expect![[r"
        CREATE TABLE a (
            id serial NOT NULL,
            c varchar(5),
            d varchar(9),
            e varchar(1),
            f varchar(5),
            g boolean,
            PRIMARY KEY (id)
        );
        ALTER TABLE a ADD CONSTRAINT ck_a_color CHECK (c IN ('RED', 'GREEN'));
        ALTER TABLE a ADD CONSTRAINT ck_a_dd CHECK (d IN ('x', 'it''s'));
        ALTER TABLE a ADD CHECK (e IN ('x', 'y'));
    "]]
    .assert_eq(&told(text, ""));
}

/// What nothing was made of, and may be a table: those names, or `*` for any.
fn unsaid(files: &[(&str, &str)]) -> Vec<String> {
    let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
    let models = SOURCE.read(&files.iter().map(file).collect::<Vec<_>>(), &Settings::default());
    let one = |(place, says): (Place, Unsaid)| {
        let names = if says.a_table { "*".to_owned() } else { says.more.join(" ") };
        format!("{}:{} {names}", place.path, place.line)
    };
    models.unsaid.into_iter().map(one).collect()
}

#[test]
fn a_table_whose_name_is_not_known_may_have_any() {
    for (text, expected) in [
        (
            "class A(Base):\n    @declared_attr.directive\n    def __tablename__(cls):\n        return name_of(cls)\n    id = Column(Integer, primary_key=True)\n",
            "m.py:1 *",
        ),
        (
            "class A(Base):\n    __tablename__ = name_of('a')\n    id = Column(Integer, primary_key=True)\n",
            "m.py:1 *",
        ),
        ("a = Table(name_of('a'), metadata, Column('id', Integer))\n", "m.py:1 *"),
        ("class A(Base):\n    __table__ = reflected('a')\n", "m.py:2 *"),
        ("def make(name):\n    return Table(name, metadata, Column('id', Integer))\n", "m.py:1 *"),
        // Without a column, and of a base that is not among the files.
        ("from elsewhere import Thing\nclass A(Thing):\n    __tablename__ = 'things'\n", "m.py:2 things"),
        ("class A(Base):\n    __tablename__ = 'a'\n    id = Column(Integer, primary_key=True)\n", ""),
        ("from elsewhere import Thing\nclass A(Thing):\n    pass\n", ""),
    ] {
        let text = format!("from sqlalchemy import *\n{text}");
        let found: Vec<String> = unsaid(&[("m.py", &text)]);
        let moved = expected.split_once(':').map(|(path, rest)| {
            let (line, names) = rest.split_once(' ').unwrap();
            format!("{path}:{} {names}", line.parse::<u32>().unwrap() + 1)
        });
        assert_eq!(found, Vec::from_iter(moved), "{text}");
    }
}

/// Classes in a migration of Alembic are those of its day.
#[test]
fn migrations_of_alembic_are_no_models() {
    let class = |column: &str| {
        format!(
            "from sqlalchemy import *\nclass A(Base):\n    __tablename__ = 'a'\n    id = Column(Integer, primary_key=True)\n    {column} = Column(Text)\n"
        )
    };
    let revision = format!(
        "{}revision = '2'\ndown_revision: Union[str, None] = '1'\ndef upgrade():\n    pass\n",
        class("old")
    );
    let files = [("a/alembic/versions/2_x.py", revision), ("a/models.py", class("new"))];
    let files = files.map(|(path, text)| File { path: path.to_owned(), text });
    let models = SOURCE.read(&files, &Settings::default());
    assert_eq!(models.unsupported, []);
    assert_eq!(models.tables[0].columns[1].name, "new");
}
