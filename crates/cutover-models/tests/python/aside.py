from sqlalchemy import *
from sqlalchemy.orm import *
from rich.table import Table as Drawn
class Base(DeclarativeBase): pass
def col(size): return mapped_column(String(size))
def to_many(what): return relationship(what)
short = partial(mapped_column, String(3))
def make(name):
    class T(Base):
        __tablename__ = name
        id = Column(Integer, primary_key=True)
    return T
def table(name):
    return Table(name, Base.metadata, Column("n", Integer))
for name in ("x1", "x2"):
    Table(name, Base.metadata, Column("n", Integer))
    class Each(Base):
        __tablename__ = name
        id = Column(Integer, primary_key=True)
Dyn = type("Dyn", (Base,), {"__tablename__": "dyn"})
globals()["Dyn2"] = type("Dyn2", (Base,), {"__tablename__": "dyn2"})
Table("plain", Base.metadata, Column("n", Integer))
class A(Base):
    __tablename__ = "a"
    id: Mapped[int] = mapped_column(primary_key=True)
    made = col(3)
class B(Base):
    __tablename__ = "b"
    id: Mapped[int] = mapped_column(primary_key=True)
    word: Mapped[str] = elsewhere(3)
class C(Base):
    __tablename__ = "c"
    id: Mapped[int] = mapped_column(primary_key=True)
    locals()["zz"] = mapped_column(Text)
    for name in ("q", "r"):
        vars()[name] = Column(Integer)
class D(Base):
    __tablename__ = "d"
    id: Mapped[int] = mapped_column(primary_key=True)
D.late = mapped_column(Integer)
class E(Base):
    __tablename__ = "e"
    id: Mapped[int] = mapped_column(primary_key=True)
setattr(E, "e", mapped_column(Integer))
E.__table__.append_constraint(UniqueConstraint("id"))
class F(Base):
    __tablename__ = "f"
    id: Mapped[int] = mapped_column(primary_key=True)
    short = short()
class G(Base):
    __tablename__ = "g"
    id: Mapped[int] = mapped_column(primary_key=True)
    cs: Mapped[list["C"]] = to_many("C")
    ds = relationship("D")
    plain = len("x")
    @declared_attr
    def es(cls) -> Mapped["E"]: return relationship("E")
def later():
    F.__table__.append_column(Column("more", Integer))
    drawn = Drawn(title="x")
event.listen(G.__table__, "after_create", DDL("ALTER TABLE g ADD x int"))
