import enum
import sqlalchemy as sa
from sqlalchemy import *
from sqlalchemy.orm import *
from elsewhere import intpk, Options, COMMON, UTC, NULLS, SCHEMA, ModelBase, cols, make, status_list
from typing import *
def lower(members):
    return [m.name.lower() for m in members]
class Color(enum.Enum):
    RED = "r"
    ALSO = "r"
    BLUE = 3
class St(enum.StrEnum):
    One = enum.auto()
COMMON2 = {"nullable": False, "index": True}
class Base(DeclarativeBase):
    type_annotation_map = {UTC: make(), bytes: make(), **Options}
class A(Base):
    __tablename__ = "a"
    id: Mapped[intpk]
    b: Mapped[bytes]
    c: Mapped[Color] = mapped_column(Enum(Color, values_callable=lower))
    d: Mapped[Color] = mapped_column(Enum(Color, name="d2", values_callable=lambda x: [e.value for e in x]))
    e: Mapped[Color] = mapped_column(Enum(Color, name="d3", values_callable=status_list))
    f: Mapped[St] = mapped_column(Enum(St, values_callable=lambda x: [e.value for e in x]))
    g = Column(Text, **COMMON)
    h = Column(Text, **COMMON2)
    i = Column(Text, nullable=NULLS)
    j = Column(Text, unique=NULLS, index=NULLS)
    k = {"a": Column(Text)}["a"]
    l: Mapped[int] = cols
    m: Mapped[list["B"]] = relationship(secondary=Table("a_b", Base.metadata, Column("x", ForeignKey("a.id"))))
    n: Mapped[int]
    o: Mapped[str]
    __table_args__ += (Index("x", "n"),)
    class B15(Base):
        __tablename__ = "b15"
        id = Column(Integer, primary_key=True)
class B(ModelBase):
    __tablename__ = "b"
    id = Column(Integer, primary_key=True)
class C(ModelBase):
    id = Column(Integer, primary_key=True)
class D(ModelBase, table=True):
    id: int = Field(primary_key=True)
class E(Base):
    __tablename__ = "e"
    __table_args__ = {"schema": SCHEMA}
    id = Column(Integer, primary_key=True)
class F(make(), Base):
    __tablename__ = "f"
    id = Column(Integer, primary_key=True)
class G(Base):
    id = Column(Integer, primary_key=True)
class H(Base):
    __table__ = make()
t1 = Table("t1", Base.metadata, *cols)
t2 = Table("t2", Base.metadata, *[Column("a", Text)], make())
t3 = Table("t3", Base.metadata, Column("id", Integer), Index("i3", *cols), autoload_with=make())
t4 = Table("t4", Base.metadata, Column("id", Integer), UniqueConstraint(*cols, name="u4"), schema=SCHEMA)
TT = {"t5": Table("t5", Base.metadata, Column("id", Integer))}
Base2 = automap_base()
class J(Base):
    __tablename__ = "j"
    id = Column(Integer, ForeignKey("a.id", ondelete=NULLS), primary_key=True)
    b = Column(Text)
    __table_args__ = (Index("ij", "b", postgresql_with={"fillfactor": 50}), UniqueConstraint("b", *cols, name="uj"), made_up("x"))
class I(Base2):
    __tablename__ = "i"
    id = Column(Integer, primary_key=True)
class K(Base):
    __tablename__ = "k"
    id = Column(Integer, primary_key=True)
    if NULLS:
        a = Column(Text)
        __table_args__ = (Index("ik", "a"),)
    else:
        a = Column(JSON)
    if TYPE_CHECKING:
        b: Mapped[int]
    if (c := mapped_column(Integer)):
        pass
    exec("d = Column(Text)")
