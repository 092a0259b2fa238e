import enum, uuid
from datetime import datetime
from typing import Annotated, Optional
from sqlalchemy import (BigInteger, CheckConstraint, DateTime, ForeignKey, ForeignKeyConstraint, Identity, Index, Integer, LargeBinary,
    MetaData, Sequence, SmallInteger, String, UniqueConstraint)
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

class Base(DeclarativeBase):
    metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s", "ix": "ix_%(column_0_label)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s"})
    type_annotation_map = {str: String(77), Optional[bytes]: LargeBinary(), int: BigInteger, datetime: DateTime(timezone=True)}

class Named:
    @declared_attr.directive
    def __tablename__(cls) -> str:
        return cls.__name__.lower()

class Owned:
    @declared_attr
    def owner_id(cls) -> Mapped[int]:
        return mapped_column(ForeignKey("person.id"))
    @declared_attr
    def other_id(cls) -> Mapped[Optional[int]]:
        return mapped_column(ForeignKey("person.id"))

class Noted:
    note: Mapped[Optional[str]]
    __table_args__ = {"schema": "s"}

person_fk = Annotated[int, mapped_column(ForeignKey("person.id"))]

class Person(Named, Noted, Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped["str | None"]
    kind: Mapped[Optional[str]]
    said: Mapped[Annotated[str, 50]]
    type: Mapped[str] = mapped_column(index=True)
    born: Mapped[datetime | None]
    raw: Mapped[Optional[bytes]]
    __table_args__ = (CheckConstraint("id > 0", name="pos"), UniqueConstraint("name", deferrable=True), {"comment": "people"})

class Engineer(Person):
    id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True)
    lang: Mapped[str]
    __table_args__ = {}

class Boss(Person):
    __tablename__ = None
    car: Mapped[Optional[str]]

class Color(enum.Enum):
    RED = 1
    BLUE = 2
    ROUGE = RED
    BLEU = 2

class Thing(Owned, Named, Base):
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    color: Mapped[Color]
    core: Mapped[int] = mapped_column(Sequence("core_s"))
    counted: Mapped[int] = mapped_column(Identity(always=True, start=10, increment=5))
    small = mapped_column(SmallInteger, unique=True)
    by: Mapped[person_fk]

class Child(Base):
    __tablename__ = "child"
    __table_args__ = {"schema": "s"}
    id: Mapped[int] = mapped_column(Integer, Sequence("my_seq"), primary_key=True)
    thing_id: Mapped[int] = mapped_column(ForeignKey(Thing.id, deferrable=True, match="FULL", onupdate="CASCADE"), index=True, unique=True)
    eng: Mapped[int] = mapped_column(ForeignKey("engineer.id"))
    small: Mapped[int] = mapped_column(ForeignKey(Thing.small))

class GrandChild(Base):
    __tablename__ = "grandchild"
    __table_args__ = (ForeignKeyConstraint(["a"], ["s.child.thing_id"], match="FULL", initially="DEFERRED", name="own"), {"schema": "s"})
    id: Mapped[int] = mapped_column(ForeignKey("s.child.thing_id"), primary_key=True)
    a: Mapped[uuid.UUID] = mapped_column()
    code: Mapped[str] = mapped_column(index=True)

class Pair(Base):
    __tablename__ = "pair"
    a: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    b: Mapped[int] = mapped_column(primary_key=True)
