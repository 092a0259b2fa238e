import enum, uuid, datetime
from datetime import datetime as dt, date, time, timedelta
from decimal import Decimal
from typing import Optional, List, Annotated, Literal, Any
from sqlalchemy import (Column, Integer, String, ForeignKey, Index, UniqueConstraint, CheckConstraint, text, func,
    Boolean, DateTime, Numeric, Enum as SAEnum, BigInteger, LargeBinary, Text, JSON, Float, MetaData, Identity, Computed,
    ForeignKeyConstraint, PrimaryKeyConstraint, Table, true, false, SmallInteger, Interval, Time, Uuid)
from sqlalchemy.dialects.postgresql import JSONB, UUID, ARRAY, TSVECTOR, INET
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, declared_attr
import sqlalchemy as sa

NAME_LEN = 80
convention = {"ix": "ix_%(column_0_label)s", "uq": "uq_%(table_name)s_%(column_0_name)s", "ck": "ck_%(table_name)s_%(constraint_name)s",
  "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s", "pk": "pk_%(table_name)s"}

class Base(DeclarativeBase):
    type_annotation_map = {dict[str, Any]: JSONB}

class Status(enum.Enum):
    active = "A"
    closed = "C"

class Kind(str, enum.Enum):
    ONE = "one"
    TWO = "two"

intpk = Annotated[int, mapped_column(primary_key=True)]
str50 = Annotated[str, mapped_column(String(50))]

class Stamped:
    created_at: Mapped[dt] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[Optional[dt]] = mapped_column(onupdate=func.now())
    @declared_attr
    def owner_id(cls):
        return Column(Integer, ForeignKey("users.id", ondelete="SET NULL"))

class User(Base):
    __tablename__ = "users"
    id: Mapped[intpk]
    name: Mapped[str50]
    nick: Mapped[str | None] = mapped_column(String(NAME_LEN), unique=True)
    email: Mapped[str] = mapped_column("e_mail", String(255), index=True, unique=True)
    status: Mapped[Status] = mapped_column(default=Status.active, server_default="active")
    kind = Column(SAEnum(Kind, name="kind_t", values_callable=lambda e: [x.value for x in e]), nullable=False)
    old = Column(SAEnum("a", "bb", native_enum=False))
    data: Mapped[dict[str, Any]]
    tags = Column(ARRAY(String(20)), nullable=False, server_default="{}")
    raw: Mapped[Optional[bytes]]
    price = Column(Numeric(10, 2), CheckConstraint("price > 0", name="positive"))
    flag = Column(Boolean, server_default=true(), nullable=False)
    born: Mapped[Optional[date]]
    at: Mapped[Optional[time]]
    span: Mapped[Optional[timedelta]]
    ratio: Mapped[float]
    amount: Mapped[Decimal]
    uid: Mapped[uuid.UUID] = mapped_column(default=uuid.uuid4, server_default=text("gen_random_uuid()"))
    mode: Mapped[Literal["x", "yyy"]]
    doc = Column(JSON().with_variant(JSONB(), "postgresql"))
    search = Column(TSVECTOR)
    ip: Mapped[str] = mapped_column(INET)
    twice = Column(Integer, Computed("length(name) * 2"))
    tasks: Mapped[List["Task"]] = relationship(back_populates="user")

class Task(Stamped, Base):
    __tablename__ = "tasks"
    __table_args__ = (
        UniqueConstraint("user_id", "title", name="uq_tasks"),
        UniqueConstraint("title", "prio"),
        Index("ix_tasks_user_created", "user_id", text("created_at DESC")),
        Index("ix_low", func.lower("title")),
        Index("ix_gin", "body", postgresql_using="gin"),
        Index("ix_part", "prio", postgresql_where=text("done IS NOT TRUE"), unique=True),
        CheckConstraint("prio between 1 and 5", name="prio_range"),
        {"comment": "what is to be done"},
    )
    id = Column(BigInteger, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    parent_id = Column(ForeignKey("tasks.id"), index=True)
    title: Mapped[str]
    body = Column(JSONB, comment="free")
    prio = Column(SmallInteger, server_default=text("3"))
    done: Mapped[bool] = mapped_column(server_default=sa.false())
    user: Mapped["User"] = relationship()

class Pair(Base):
    __tablename__ = "pairs"
    a: Mapped[int] = mapped_column(primary_key=True)
    b: Mapped[int] = mapped_column(primary_key=True)
    n = Column(Integer, Identity(always=True))

class Sub(Base):
    __tablename__ = "subs"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    a: Mapped[int]
    b: Mapped[int]
    __table_args__ = (ForeignKeyConstraint(["a", "b"], ["pairs.a", "pairs.b"], onupdate="CASCADE", deferrable=True, initially="DEFERRED"),)

class Person(Base):
    __tablename__ = "people"
    id = Column(Integer, primary_key=True)
    type: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "type", "polymorphic_identity": "p"}

class Engineer(Person):
    __tablename__ = "engineers"
    id: Mapped[int] = mapped_column(ForeignKey("people.id"), primary_key=True)
    lang = Column(String)
    __mapper_args__ = {"polymorphic_identity": "e"}

class Boss(Person):
    car: Mapped[Optional[str]]
    __mapper_args__ = {"polymorphic_identity": "b"}

links = Table("links", Base.metadata, Column("user_id", ForeignKey("users.id"), primary_key=True), Column("task_id", ForeignKey("tasks.id"), primary_key=True), Column("x", Float, nullable=False))
Index("ix_beside", Person.type.desc())
metadata = Base.metadata
