"""Ways out of Jinja2's sandbox that were found in its years: none leads out of a template of ours.

Each reached interpreter, system or source in some version of Jinja2, or in one that was not used
with care; the names of advisories stand beside theirs.
"""

import pytest

from callsheet.jobs.templates import TemplateError, builtins, expand

ESCAPES = [
    # From a value to its class, and to all that are loaded.
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ().__class__.__base__.__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ ''|attr('__class__') }}",
    "{{ ''|attr('\\x5f\\x5fclass\\x5f\\x5f') }}",
    "{{ ''|attr('__cla' ~ 'ss__') }}",
    "{{ [''] | map(attribute='__class__') | list }}",
    "{{ [''] | map('attr', '__class__') | list }}",
    "{{ [{'a': ''}] | groupby('a.__class__') }}",
    "{{ [''] | sort(attribute='__class__') }}",
    "{{ [''] | selectattr('__class__') | list }}",
    "{{ [''] | unique(attribute='__class__.__mro__') | list }}",
    # From a function to what its module knows.
    "{{ range.__init__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ lipsum.__globals__['os'] }}",
    "{{ lipsum['__globals__'] }}",
    "{{ lipsum.__code__ }}",
    "{{ get_calendar.__closure__ }}",
    "{{ Date.__new__ }}",
    "{{ dict.__base__ }}",
    "{% macro m() %}{% endmacro %}{{ m.__init__.__globals__ }}",
    "{% macro m() %}{{ caller.__globals__ }}{% endmacro %}{% call m() %}{% endcall %}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context.environment }}",
    "{{ self._TemplateReference__context }}",
    # By str.format, named or not (CVE-2016-10745, CVE-2019-10906, CVE-2024-56326, CVE-2025-27516).
    "{{ '{0.__class__}'.format('') }}",
    "{{ '{x.__class__.__init__.__globals__}'.format(x=range) }}",
    "{{ '{x.__class__}'.format_map({'x': ''}) }}",
    "{{ ['{0.__class__}'] | map('format', '') | map(attribute='__class__') | list }}",
    "{% set f = '{0.__class__}'.format %}{{ f('') }}",
    "{{ ('{0.__class__}'|attr('format'))('') }}",
    "{{ ('{x.__class__}'|attr('format_map'))({'x': ''}) }}",
    "{{ [''] | map('{0.__class__}'.format) | list }}",
    "{% macro m(f) %}{{ f('') }}{% endmacro %}{{ m('{0.__class__}'.format) }}",
    # By frames of generators and coroutines.
    "{{ ([1] | map('upper')).gi_frame }}",
    "{{ ([1] | select).gi_frame.f_globals }}",
    "{{ ([1] | map('upper')).gi_code }}",
    # By other templates, whose names a template would choose (CVE-2024-56201).
    "{% include '/etc/passwd' %}",
    "{% import 'x' as y %}",
    "{% from 'x' import y %}",
    "{% extends 'x' %}",
    # By changing what others see.
    "{{ [].append(1) }}",
    "{{ {}.update(a=1) }}",
    "{{ {'a': 1}.pop('a') }}",
    "{{ {}.setdefault('a', 1) }}",
    "{% set args.x = 1 %}",
    "{% set x = namespace() %}{% set x.__class__ = 1 %}{{ x.__init__.__globals__ }}",
    # By what is no part of a template's names.
    "{{ config }}",
    "{{ request.application }}",
    "{{ environment }}",
    "{{ __builtins__ }}",
    "{{ __import__('os') }}",
    "{{ open('/etc/passwd') }}",
    "{{ eval('1') }}",
    "{% do 1 %}",
    "{% debug %}",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_a_way_out_of_the_sandbox_is_an_error_of_its_template(text):
    with pytest.raises(TemplateError) as caught:
        expand(text, {"args": "x"}, {}, builtins({}))
    assert "\n" not in str(caught.value)
