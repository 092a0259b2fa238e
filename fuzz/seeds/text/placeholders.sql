GRANT ${role} TO $${role};
SELECT $$${a}$$, ${x.y-z}, $1, ${"a": 1};
