//! The models of Django itself that those of applications refer to and are made from. They have been what they are here since
//! Django 3.1 (`django/contrib/*/models.py`; the last change in the database is `auth.0012_alter_user_first_name_max_length`).
//! Their keys are `AutoField` (`default_auto_field` in `django/contrib/*/apps.py`), whatever the application says.

/// Their files.
pub(super) static FILES: &[(&str, &str)] = &[
    ("django/contrib/contenttypes/models.py", CONTENT_TYPES),
    ("django/contrib/auth/base_user.py", AUTH_BASE),
    ("django/contrib/auth/models.py", AUTH),
    ("django/contrib/sites/models.py", SITES),
    ("django/contrib/sessions/base_session.py", SESSION_BASE),
    ("django/contrib/sessions/models.py", SESSIONS),
    ("django/contrib/flatpages/models.py", FLAT_PAGES),
];

const CONTENT_TYPES: &str = r#"
from django.db import models
class ContentType(models.Model):
    app_label = models.CharField(max_length=100)
    model = models.CharField(max_length=100)
    class Meta:
        db_table = "django_content_type"
        unique_together = [["app_label", "model"]]
"#;

const AUTH_BASE: &str = r"
from django.db import models
class AbstractBaseUser(models.Model):
    password = models.CharField(max_length=128)
    last_login = models.DateTimeField(blank=True, null=True)
    class Meta:
        abstract = True
";

const AUTH: &str = r#"
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils import timezone
class Permission(models.Model):
    name = models.CharField(max_length=255)
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    codename = models.CharField(max_length=100)
    class Meta:
        unique_together = [["content_type", "codename"]]
class Group(models.Model):
    name = models.CharField(max_length=150, unique=True)
    permissions = models.ManyToManyField(Permission)
class PermissionsMixin(models.Model):
    is_superuser = models.BooleanField(default=False)
    groups = models.ManyToManyField(Group)
    user_permissions = models.ManyToManyField(Permission)
    class Meta:
        abstract = True
class AbstractUser(AbstractBaseUser, PermissionsMixin):
    username = models.CharField(max_length=150, unique=True)
    first_name = models.CharField(max_length=150)
    last_name = models.CharField(max_length=150)
    email = models.EmailField(blank=True)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(default=timezone.now)
    class Meta:
        abstract = True
class User(AbstractUser):
    pass
"#;

const SITES: &str = r#"
from django.db import models
class Site(models.Model):
    domain = models.CharField(max_length=100, unique=True)
    name = models.CharField(max_length=50)
    class Meta:
        db_table = "django_site"
"#;

const SESSION_BASE: &str = r"
from django.db import models
class AbstractBaseSession(models.Model):
    session_key = models.CharField(max_length=40, primary_key=True)
    session_data = models.TextField()
    expire_date = models.DateTimeField(db_index=True)
    class Meta:
        abstract = True
";

const SESSIONS: &str = r#"
from django.contrib.sessions.base_session import AbstractBaseSession
class Session(AbstractBaseSession):
    class Meta:
        db_table = "django_session"
"#;

const FLAT_PAGES: &str = r#"
from django.contrib.sites.models import Site
from django.db import models
class FlatPage(models.Model):
    url = models.CharField(max_length=100, db_index=True)
    title = models.CharField(max_length=200)
    content = models.TextField(blank=True)
    enable_comments = models.BooleanField(default=False)
    template_name = models.CharField(max_length=70, blank=True)
    registration_required = models.BooleanField(default=False)
    sites = models.ManyToManyField(Site)
    class Meta:
        db_table = "django_flatpage"
"#;
