"""What every table of the app has: keys and times that the database makes."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

NOW = sa.text("CURRENT_TIMESTAMP")
NEW_KEY = sa.text("gen_random_uuid()")


class Keyed(SQLModel):
    id: uuid.UUID = Field(
        default_factory=uuid.uuid4,
        primary_key=True,
        sa_column_kwargs={"server_default": NEW_KEY},
    )


class Created(SQLModel):
    created_at: datetime = Field(
        sa_type=sa.DateTime(timezone=True),
        nullable=False,
        sa_column_kwargs={"server_default": NOW},
    )


class Stamped(Created):
    updated_at: datetime = Field(
        sa_type=sa.DateTime(timezone=True),
        nullable=False,
        sa_column_kwargs={"server_default": NOW},
    )
