import uuid
from datetime import datetime, date
from decimal import Decimal
from enum import Enum
from typing import Optional, List
from sqlmodel import SQLModel, Field, Relationship, Column, JSON, String, DateTime, Text, text, func, UniqueConstraint, Index
from pydantic import EmailStr, ConfigDict
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

class Role(str, Enum):
    user = "user"
    agent = "agent"

class HeroBase(SQLModel):
    name: str = Field(index=True)
    secret: str = Field(max_length=50)
    age: Optional[int] = Field(default=None, index=True)

class Hero(HeroBase, table=True):
    model_config = ConfigDict(extra="forbid")
    id: Optional[int] = Field(default=None, primary_key=True)
    team_id: Optional[int] = Field(default=None, foreign_key="team.id", ondelete="SET NULL")
    role: Role = Field(default=Role.user)
    team: Optional["Team"] = Relationship(back_populates="heroes")

class Team(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    hq: str
    heroes: List["Hero"] = Relationship(back_populates="team")

class Msg(SQLModel, table=True):
    __tablename__ = "messages"
    __table_args__ = (UniqueConstraint("a", "b", name="uq_ab"), Index("idx_ab", "a", "at"),)
    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    hero_id: int = Field(foreign_key="hero.id", ondelete="CASCADE", nullable=False)
    a: str = Field(max_length=4000)
    b: float = 1.5
    at: datetime = Field(default_factory=datetime.utcnow)
    at2: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False, server_default=func.now()))
    at3: datetime = Field(sa_type=sa.DateTime(timezone=True), sa_column_kwargs={"server_default": text("CURRENT_TIMESTAMP")})
    price: Decimal = Field(max_digits=8, decimal_places=3)
    plain: Decimal
    calls: Optional[dict] = Field(default=None, sa_column=Column(JSON))
    extra: dict = Field(sa_type=JSONB, nullable=False)
    day: date | None = None
    mail: EmailStr
    ok: bool = False
    blob: bytes = b""
    big: int = Field(sa_column=Column("big_one", sa.BigInteger(), primary_key=False))
    txt: str = Field(sa_column=Column(Text))

metadata = SQLModel.metadata
