# Other ways to say the same: maps of types, registries, tables in classes, bases that name their tables.
import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, List, Literal, Optional, TypeVar
import sqlalchemy as sa
from sqlalchemy import ARRAY, JSON, Column, Enum, ForeignKey, Index, Integer, Interval, MetaData, String, Table, Text, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import (DeclarativeBase, Mapped, MappedColumn, as_declarative, composite, declarative_base, declared_attr, mapped_column,
    registry, relationship)


def lower(members):
    return [member.name.lower() for member in members]


class Color(enum.Enum):
    RED = "r"
    ALSO = "r"
    BLUE = "b"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mood(str, enum.Enum):
    GOOD = "good"
    BAD = "bad"


Short = Annotated[str, 5]
Side = Literal["left", "right"]
more_types = {dict[str, Any]: JSONB, List[int]: ARRAY(Integer)}


class Base(DeclarativeBase):
    type_annotation_map = {
        enum.Enum: sa.Enum(enum.Enum, values_callable=lambda members: [str(member.value) for member in members]),
        Literal: sa.Enum(enum.Enum, length=40),
        Side: sa.Enum("left", "right", name="side"),
        list[str]: ARRAY(String),
        str: Text,
        Short: String(5),
        **more_types,
    }


class Mapping(Base):
    __tablename__ = "mapping"
    id: Mapped[int] = mapped_column(primary_key=True)
    color: Mapped[Color]
    level: Mapped[Optional[Level]]
    word: Mapped[Literal["aaa", "b"]]
    side: Mapped[Side]
    tags: Mapped[list[str]]
    more: Mapped[Optional[list[str]]]
    numbers: Mapped[List[int]]
    doc: Mapped[dict[str, Any]]
    text: Mapped[str]
    short: Mapped[Short]
    none: Mapped[Optional[str]] = None


class Values(Base):
    __tablename__ = "values"
    id: Mapped[int] = mapped_column(primary_key=True)
    names: Mapped[Color] = mapped_column(Enum(Color, name="names"))
    lowered: Mapped[Color] = mapped_column(Enum(Color, name="lowered", values_callable=lower))
    by_value: Mapped[Mood] = mapped_column(Enum(Mood, values_callable=lambda x: [e.value for e in x]))
    wrapped: Mapped[Color] = mapped_column(
        Enum(Color, name="wrapped", values_callable=lambda obj: list(
            e.value.upper() for e in obj)))


@dataclass
class Point:
    x: int
    y: Optional[int]


id_column = mapped_column(Integer, primary_key=True)
Whole = Mapped[int]
options = {"nullable": False, "index": True}
rest = [Column("b", Text), UniqueConstraint("b", name="rest_b")]
beside = Table("beside", Base.metadata, Column("id", Integer, primary_key=True), *rest)


class Parts(Base):
    __tablename__ = "parts"
    id: Mapped[int] = id_column
    start: Mapped[Point] = composite(mapped_column("x1"), mapped_column("y1", Text))
    end = composite(Point, Column("x2", Integer), Column("y2", Integer))
    middle: Mapped[Point] = composite(mapped_column(), mapped_column())
    whole: Whole
    opened = Column(Text, **options)
    span = Column(Interval(second_precision=2))
    ident = Column(Uuid(native_uuid=False))
    at = Column(Interval(native=False))
    kept = Column(String(5, collation="C"))
    typed: MappedColumn[int] = mapped_column()

    class Inner(Base):
        __tablename__ = "inner"
        id = Column(Integer, primary_key=True)


class Unmapped(Base):
    __tablename__ = "unmapped"
    __allow_unmapped__ = True
    id: int = mapped_column(primary_key=True)
    n: Optional[int] = mapped_column()


class View(Base):
    __table__ = Table("view", Base.metadata, Column("id", Integer, primary_key=True), Column("name", String(9)))
    name: Mapped[str]


class Beside(Base):
    __table__ = beside


class Special(View):
    extra: Mapped[Optional[int]] = mapped_column()


Index("beside_b", Beside.b)
mapper_registry = registry(type_annotation_map={str: String(7)})


@mapper_registry.mapped
class Decorated:
    __tablename__ = "decorated"
    id: Mapped[int] = mapped_column(primary_key=True)
    word: Mapped[str]


@mapper_registry.mapped_as_dataclass(kw_only=True)
class Dataclass:
    __tablename__ = "dataclass"
    id: Mapped[int] = mapped_column(primary_key=True)
    word: Mapped[str]


@mapper_registry.mapped
class Imperative:
    __table__ = Table("imperative", mapper_registry.metadata, Column("id", Integer, primary_key=True))


class Named(DeclarativeBase):
    id: Mapped[int] = mapped_column(primary_key=True)

    @declared_attr.directive
    def __tablename__(cls) -> str:
        return cls.__name__.lower()


T = TypeVar("T")


class Generally(Generic[T]):
    general: Mapped[int] = mapped_column()


class Cat(Generally[int], Named):
    text: Mapped[str]


class Plain:
    @declared_attr
    def __tablename__(cls):
        return cls.__name__.lower() + "s"

    id = Column(Integer, primary_key=True)


Made = declarative_base(cls=Plain)


class Dog(Made):
    n = Column(Text)


@as_declarative()
class Old:
    id = Column(Integer, primary_key=True)

    @declared_attr
    def __tablename__(cls):
        return cls.__name__.lower()


class Bird(Old):
    n = Column(Text)
