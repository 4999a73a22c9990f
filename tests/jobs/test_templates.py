"""Templates: the names they have, what ora's values do in them, and what is refused.

The rows are those of the contract with Apsis: expression, and the text it renders to for a run of
2024-01-06, a Saturday.
"""

import subprocess

import pytest

from callsheet.jobs.calendars import parse_cal
from callsheet.jobs.template_bounds import MAX_CHARS
from callsheet.jobs.templates import TemplateError, builtins, check_syntax, expand, is_template, use

ARGS = {"date": "2024-01-06", "color": "red", "n": "7"}
CALENDARS = {"bank": parse_cal("bank", "START 2024-01-01\nSTOP 2024-02-01\n2024-01-09\n")}


def render(text, args=ARGS, run_id="r42", job_id="grp/job"):
    extra = {"run_id": run_id, "job_id": job_id}
    return expand(text, args, extra, builtins(CALENDARS))


def value(expression):
    return render("{{ " + expression + " }}")


DATES = [
    ("Date(date) + 1", "2024-01-07"),
    ("Date(date) - 1", "2024-01-05"),
    ("Date(date) - Date('2024-01-01')", "5"),
    ("Date(date).weekday", "Sat"),
    ("Date(date).year", "2024"),
    ("Date(date).month", "1"),
    ("Date(date).day", "6"),
    ("Date(date).ymd", "(2024, 1, 6)"),
    ("Date('0001-01-01').datenum", "0"),
    ("Date(date).datenum", "738890"),
    ("Date(date) == date", "False"),
    ("Date(date) == Date(date)", "True"),
    ("Date(date) < Date('2024-01-07')", "True"),
    ("Date(date) >= Date('2024-01-07')", "False"),
    ("Date(20240106)", "2024-01-06"),
    ("Date('20240106')", "2024-01-06"),
    ("Date(Date(date))", "2024-01-06"),
    ("Date('MIN')", "0001-01-01"),
    ("Date('MAX')", "9999-12-31"),
    ("Date(date)", "2024-01-06"),
]
TIMES = [
    ("Time('2024-01-02T03:04:05Z') + 60", "2024-01-02T03:05:05+00:00"),
    ("Time('2024-01-02T03:04:05Z') - 5", "2024-01-02T03:04:00+00:00"),
    ("Time('2024-01-02T03:04:05Z') - Time('2024-01-02T03:04:00Z')", "5.0"),
    ("Time('2024-01-02T03:04:05.5Z')", "2024-01-02T03:04:05.500000+00:00"),
    ("Time('20240102T030405Z')", "2024-01-02T03:04:05+00:00"),
    ("Time('2024-01-02T03:04:05-05:00')", "2024-01-02T08:04:05+00:00"),
    ("Daytime('09:30:00')", "09:30:00"),
    ("Daytime('9:30:00.25')", "09:30:00.25"),
    ("Daytime('09:30:00').hour", "9"),
    ("Daytime('09:30:00').minute", "30"),
    ("Daytime(34200)", "09:30:00"),
    ("TimeZone('America/New_York')", "America/New_York"),
    ("from_local((date, '09:30:00'), 'America/New_York')", "2024-01-06T14:30:00+00:00"),
    ("from_local((Date(date), Daytime('09:30:00')), 'UTC')", "2024-01-06T09:30:00+00:00"),
    ("from_local(('2024-11-03', '01:30:00'), 'America/New_York')", "2024-11-03T05:30:00+00:00"),
    ("to_local('2024-01-02T03:04:05Z', 'America/New_York')", "2024-01-01T22:04:05"),
    ("to_local('2024-01-02T03:04:05Z', 'America/New_York').date", "2024-01-01"),
    ("to_local('2024-01-02T03:04:05Z', 'America/New_York').daytime", "22:04:05"),
    ("(to_local('2024-01-02T03:04:05Z', 'UTC') | list)[0]", "2024-01-02"),
]
CALENDAR_ROWS = [
    ("get_calendar('Mon-Fri').before(date)", "2024-01-05"),
    ("get_calendar('Mon-Fri').before('2024-01-05')", "2024-01-05"),
    ("get_calendar('Mon-Fri').after(date)", "2024-01-08"),
    ("get_calendar('Mon-Fri').shift(date, 2)", "2024-01-09"),
    ("get_calendar('Mon-Fri').shift(date, 0)", "2024-01-06"),
    ("get_calendar('Mon-Fri').shift(date, -1)", "2024-01-05"),
    ("get_calendar('Mon-Fri').shift('2024-01-05', -1)", "2024-01-04"),
    ("date in get_calendar('Mon-Fri')", "False"),
    ("Date(date) in get_calendar('Sat')", "True"),
    ("get_calendar('bank').after(date)", "2024-01-09"),
    ("get_calendar('all').after(date)", "2024-01-06"),
]
FORMATS = [
    ("format(Date(date), '%Y%m%d')", "20240106"),
    ("format(Date(date), '%~A')", "Sat"),
    ("format(Date(date), '%D')", "2024-01-06"),
    (
        "format(Time('2024-01-02T03:04:05Z'), '%Y-%m-%d %H:%M:%S@America/New_York')",
        "2024-01-01 22:04:05",
    ),
    ("format(Time('2024-01-02T03:04:05Z'), '%H:%M@display')", "03:04"),
    ("format(Time('2024-01-02T03:04:05Z'), '%H:%M@')", "03:04"),
    ("format(Time('2024-01-02T03:04:05.1234Z'), '%.3i')", "2024-01-02T03:04:05.123+00:00"),
    ("format(Time('2024-01-02T03:04:05Z'), '%D')", "2024-01-02"),
    ("format(Time('2024-01-02T03:04:05Z'), '%C')", "03:04:05"),
    ("format(Time('2024-01-02T03:04:05.1234Z'), '%.3C')", "03:04:05.123"),
    ("format(Daytime('09:30:00'), '%H%M')", "0930"),
    ("format(3.14159, '.2f')", "3.14"),
    ("format(7, '03d')", "007"),
]
NAMES = [
    ("run_id", "r42"),
    ("job_id", "grp/job"),
    ("color", "red"),
    ("n + '1'", "71"),
    ("n | int + 1", "8"),
    ("range(3) | list", "[0, 1, 2]"),
    ("dict(a=1).a", "1"),
    ("color | upper", "RED"),
    ("color | center(7)", "  red  "),
    ("'a\nb' | indent(2)", "a\n  b"),
    ("'aa bb' | wordwrap(2)", "aa\nbb"),
    ("'%s-%s' | format(color, n)", "red-7"),
    ("'%02d' % 7", "07"),
    ("'{}-{:>3}'.format(color, n)", "red-  7"),
    ("'-'.join(['a', 'b'])", "a-b"),
    ("color.replace('r', 'b')", "bed"),
    ("[1, 2] | pprint", "[1, 2]"),
    ("color | replace('r', 'b')", "bed"),
    ("n.zfill(3)", "007"),
    ("2 ** 10", "1024"),
]


@pytest.mark.parametrize(("expression", "text"), DATES + TIMES + CALENDAR_ROWS + FORMATS + NAMES)
def test_an_expression_renders_as_in_apsis(expression, text):
    assert value(expression) == text


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("plain", "plain"),
        ("plain\n", "plain\n"),
        ("{{ color }}\n", "red"),
        ("{{ color }}\n\n", "red\n"),
        ("a{# nothing #}b", "ab"),
        ("{% if color == 'red' %}x{% else %}y{% endif %}", "x"),
        ("{% for i in range(3) %}{{ i }}{% endfor %}", "012"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(n) }}", "<7>"),
        ("{% set d = Date(date) %}{{ d - 1 }}", "2024-01-05"),
        ("{{ '<&>' }}", "<&>"),
        ("{{ none }} {{ true }} {{ 1.5 }}", "None True 1.5"),
        ("{}", "{}"),
        ("${HOME} {x}", "${HOME} {x}"),
    ],
)
def test_a_text_renders_as_in_apsis(text, rendered):
    assert render(text) == rendered


@pytest.mark.parametrize(
    "expression",
    ["x", "x | default('q')", "x is defined", "x or 1", "now", "lipsum(1)", "self.y"],
)
def test_a_name_that_is_not_there_raises_even_where_jinja_would_not(expression):
    with pytest.raises(TemplateError, match=r"(is not defined|has no attribute)"):
        value(expression)
    with pytest.raises(TemplateError, match=r"^name 'x' is not defined$"):
        value("x")


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("Date(date).years", "'Date' has no attribute 'years'"),
        ("Date(date) < date", "TypeError"),
        ("Date('2024-02-30')", "date '2024-02-30'"),
        ("Date('soon')", "expected a form like 2024-01-06"),
        ("Time('2024-01-02')", "expected a form like 2024-01-02T03:04:05Z"),
        ("Time('2024-01-02T03:04:05')", "expected a form like"),
        ("Daytime('24:00:00')", "expected a form like 09:30:00"),
        ("TimeZone('Mars')", "unknown time zone: Mars"),
        ("TimeZone('+01:00')", "unknown time zone"),
        ("get_calendar('nowhere')", "no such calendar: nowhere"),
        ("get_calendar('bank').after('2025-01-01')", "within its range"),
        ("from_local(('2024-03-10', '02:30:00'), 'America/New_York')", "does not exist in"),
        ("1 / 0", "ZeroDivisionError"),
        ("color.nope", "'str' has no attribute 'nope'"),
        ("color | nope", "No filter named 'nope'"),
        ("color is nope", "No test named 'nope'"),
        ("color(", "unexpected"),
        ("", "Expected an expression"),
        ("'' .__class__.__mro__", "unsafe"),
        ("[].append(1)", "unsafe"),
        ("get_calendar.__globals__", "unsafe"),
        ("Date.__init__", "unsafe"),
    ],
)
def test_what_is_wrong_in_an_expression_is_told(expression, words):
    with pytest.raises(TemplateError, match=words.replace("(", r"\(").replace("+", r"\+")):
        value(expression)


def test_a_mistake_of_syntax_has_its_line():
    with pytest.raises(TemplateError, match=r"template: line 2: expected token"):
        check_syntax("a\n{% for i of x %}{% endfor %}")
    with pytest.raises(TemplateError, match=r"template: line 3: Unexpected end of template"):
        check_syntax("\n\n{% if x %}")
    check_syntax("{{ whatever }}")
    check_syntax("no template {%".replace("{%", "%"))


def test_args_go_before_run_and_job_and_these_before_the_builtins():
    args = {"job_id": "mine", "Date": "other", "run_id": "own"}
    assert render("{{ job_id }} {{ Date }} {{ run_id }}", args) == "mine other own"
    assert render("{{ run_id }}", {}, run_id="None") == "None"


@pytest.mark.parametrize(
    ("text", "found"),
    [("", False), ("{ {x} }", False), ("{{", True), ("a{% x", True), ("{#", True), ("}}", False)],
)
def test_a_template_is_a_text_with_a_mark(text, found):
    assert is_template(text) is found


# --- what a step may make -----------------------------------------------------------------------

BOMBS = [
    "{{ 'a' * 10**9 }}",
    "{{ 10**9 * 'a' }}",
    "{{ [0] * 10**9 }}",
    "{{ 9**9**9 }}",
    "{{ 2 ** 1001 }}",
    "{{ 'x'.ljust(10**9) }}",
    "{{ 'x'.rjust(10**9) }}",
    "{{ 'x'.center(10**9) }}",
    "{{ '1'.zfill(10**9) }}",
    "{{ ('\t' * 1000).expandtabs(10**9) }}",
    "{{ (1).to_bytes(10**9, 'big') }}",
    "{{ 'x'.translate({120: 'y'}) }}",
    "{{ '{:>1000000000}'.format(1) }}",
    "{{ '{:{}}'.format(1, 10**9) }}",
    "{{ '{x:>1000000000}'.format_map({'x': 1}) }}",
    "{{ ('{0}' * 1000).format('x' * 10000) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%*d' % (10**9, 1) }}",
    "{{ '%.1000000000f' % 1.5 }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ format(1, '1000000000d') }}",
    "{{ format(1.5, '.1000000000f') }}",
    "{{ 'a' | center(10**9) }}",
    "{{ ('a\n' * 100000) | indent(100000) }}",
    "{{ ('a\n' * 1000) | indent('x' * 10000) }}",
    "{{ ('a' * 1000000) | wordwrap(1, wrapstring='b' * 1000) }}",
    "{{ ('a' * 100000) | replace('a', 'b' * 100000) }}",
    "{{ ('a' * 100000).replace('a', 'b' * 100000) }}",
    "{{ ('x' * 100000).join('y' * 100000) }}",
    "{{ ('y' * 100000) | join('x' * 100000) }}",
    "{{ [1] | batch(10**9, 2) | list }}",
    "{{ [1] | slice(10**9) | list }}",
    "{{ {'a': 1} | tojson(indent=10**9) }}",
    '{{ ("\'" * 500000) | quote }}',
    "{{ range(10**12) | list }}",
    "{{ lipsum(100000) }}",
    "{{ 'a' * 999999 ~ 'bb' }}",
    "{{ ('a' * 600000) + ('b' * 600000) }}",
    "{% set n = namespace(x=9) %}{% for i in range(100) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{{ " + "[" * 5000 + "]" * 5000 + " }}",
    "{{ " + "-" * 50000 + "1 }}",
    "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "{{ Date('2024-01-01') + 10**12 }}",
    "{{ Time('2024-01-01T00:00:00Z') + 10**18 }}",
    "{% include 'x' %}",
    "{% import 'os' as x %}",
]


@pytest.mark.parametrize("text", BOMBS, ids=lambda text: text[:40])
def test_a_step_that_would_make_too_much_is_refused_at_once(text):
    with pytest.raises(TemplateError) as caught:
        render(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_what_is_large_and_within_reason_is_made():
    assert len(value(f"'a' * {MAX_CHARS}")) == MAX_CHARS
    assert len(value("'a'.ljust(1000)")) == 1000
    assert len(value("'%999d' % 1")) == 999
    assert value("(['ab'] * 1000) | join(',') | length") == "2999"


WORDS = [
    "",
    "a",
    "a b",
    "'",
    "''",
    '"',
    "$(id)",
    "`id`",
    "; id",
    "a\nb",
    "-x",
    "\\",
    "{{ x }}",
    "ü",
    "*",
]


@pytest.mark.parametrize("word", WORDS)
def test_quoted_anything_is_one_word_of_a_shell_command(word):
    text = expand("printf '%s\\0' {{ x | quote }}", {"x": word}, {}, {})
    shell = subprocess.run(["/bin/sh", "-c", text], capture_output=True, check=True)
    assert shell.stdout.decode() == f"{word}\0"


def test_what_cannot_be_a_word_is_told():
    with pytest.raises(TemplateError, match="a NUL character cannot be in a word"):
        expand("{{ x | quote }}", {"x": "a\0b"}, {}, {})
    assert expand("{{ 3 | quote }}", {}, {}, {}) == "3"


# --- names from the settings --------------------------------------------------------------------


@pytest.fixture
def given():
    """Functions and filters as settings give them."""
    use({"twice": lambda x: x * 2, "fail": _fail}, {"shout": lambda text: text.upper() + "!"})
    yield
    use({}, {})


def _fail():
    raise LookupError("no such thing")


@pytest.mark.usefixtures("given")
def test_functions_and_filters_of_the_settings_are_names_of_templates():
    assert value("twice(color)") == "redred"
    assert value("color | shout") == "RED!"
    assert value("color | center(5)") == " red "
    with pytest.raises(TemplateError, match=r"^LookupError: no such thing$"):
        value("fail()")


def test_functions_and_filters_are_gone_when_they_are_no_longer_given(request):
    request.getfixturevalue("given")
    assert value("color | shout") == "RED!"
    use({}, {})
    with pytest.raises(TemplateError, match="No filter named 'shout'"):
        value("color | shout")
    with pytest.raises(TemplateError, match="name 'twice' is not defined"):
        value("twice(1)")
