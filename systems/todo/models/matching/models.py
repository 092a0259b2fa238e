"""The models as the migrations have them."""

import uuid
from typing import Optional

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from .base import Created, Keyed, Stamped


class User(Keyed, Stamped, table=True):
    __tablename__ = "users"
    __table_args__ = (sa.Index("idx_users_email", "email"),)

    email: str = Field(max_length=255, unique=True)
    password_hash: str = Field(max_length=255)


class Task(Keyed, Stamped, table=True):
    __tablename__ = "tasks"
    __table_args__ = (
        sa.Index("idx_tasks_user_id", "user_id"),
        sa.Index("idx_tasks_user_id_created_at", "user_id", sa.text("created_at DESC")),
    )

    user_id: uuid.UUID = Field(foreign_key="users.id", ondelete="CASCADE")
    title: str = Field(max_length=255)
    description: Optional[str] = Field(default=None, sa_type=sa.Text)
    completed: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})


class Conversation(Keyed, Stamped, table=True):
    __tablename__ = "conversations"
    __table_args__ = (
        sa.Index("idx_conversations_user_id", "user_id"),
        sa.Index("idx_conversations_user_id_updated_at", "user_id", sa.text("updated_at DESC")),
        # What a message refers to, so that it is of the conversation's user.
        sa.UniqueConstraint("id", "user_id", name="conversations_id_user_id_key"),
    )

    user_id: uuid.UUID = Field(foreign_key="users.id", ondelete="CASCADE")
    title: Optional[str] = Field(default=None, max_length=255)


class Message(Keyed, Created, table=True):
    __tablename__ = "messages"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["conversation_id", "user_id"],
            ["conversations.id", "conversations.user_id"],
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("role IN ('user', 'agent')", name="messages_role_check"),
        sa.Index("idx_messages_conversation_id", "conversation_id"),
        sa.Index("idx_messages_user_id", "user_id"),
        sa.Index("idx_messages_conversation_id_created_at", "conversation_id", "created_at"),
    )

    conversation_id: uuid.UUID
    user_id: uuid.UUID = Field(foreign_key="users.id", ondelete="CASCADE")
    role: str = Field(max_length=10)
    content: str = Field(sa_type=sa.Text)
    tool_calls: Optional[dict] = Field(default=None, sa_type=JSONB)
