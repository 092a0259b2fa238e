-- cutover: new-transaction
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $body$ BEGIN /* $a$ ; */ RETURN 1; END $body$;
SELECT 'a;b', E'\';', U&'d\0061t', "x;y", $$ ; $$, B'01', X'1f';
CREATE FUNCTION g() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END;
COPY t (a, b) FROM STDIN;
1	x
\N	y
\.
COMMENT ON TABLE t IS '/*'; /* a /* nested */ comment */ SELECT 1;
