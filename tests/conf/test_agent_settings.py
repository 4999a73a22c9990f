"""The settings of agents: where they come in, how they are chosen."""

import pytest

from callsheet.conf.agent_settings import AgentSettings
from callsheet.conf.settings import SettingsError, load_settings


def a_file(tmp_path, text):
    path = tmp_path / "callsheet.yaml"
    path.write_text(text)
    return path


def test_agents_of_other_hosts_come_in_where_the_settings_say(tmp_path):
    settings = load_settings(
        a_file(tmp_path, "agents: {listen: 'tcp://0.0.0.0:5901', start_timeout: 2m}\n")
    )
    agents = settings.agents
    assert (agents.listen, agents.enrol) == ("tcp://0.0.0.0:5901", "tcp://0.0.0.0:5902")
    assert agents.start_timeout_us == 120 * 1_000_000


def test_without_a_word_of_agents_nobody_comes_in_from_other_hosts(tmp_path):
    assert load_settings(a_file(tmp_path, "{}\n")).agents == AgentSettings()
    text = "procstar: {agent: {connection: {start_timeout: 30s}}}\n"
    assert load_settings(a_file(tmp_path, text)).agents == AgentSettings(
        start_timeout_us=30 * 1_000_000
    )


@pytest.mark.parametrize(
    "said",
    [
        "listen: 5901",
        "listen: 'tcp://0.0.0.0'",
        "listen: 'tcp://0.0.0.0:0'",
        "listen: 'tcp://0.0.0.0:65535'",
        "listen: 'ipc:///x'",
        "start_timeout: -1",
        "groups: {a: {choice: best}}",
        "groups: {a: {pick: random}}",
        "aliases: {a: 5}",
        "lisen: x",
    ],
)
def test_agent_settings_that_mean_nothing_are_refused(tmp_path, said):
    with pytest.raises(SettingsError, match=r"agents"):
        load_settings(a_file(tmp_path, f"agents: {{{said}}}\n"))


def test_sudo_is_called_as_apsis_says_and_whom_this_host_allows_is_in_a_file(tmp_path):
    text = (
        "procstar: {agent: {sudo: {argv: [/opt/sudo, --set-home]}}}\n"
        "agents: {sudo_allow: /etc/callsheet/users}\n"
    )
    agents = load_settings(a_file(tmp_path, text)).agents
    assert agents.sudo_argv == ("/opt/sudo", "--set-home")
    assert agents.sudo_allow == "/etc/callsheet/users"
    alone = load_settings(a_file(tmp_path, text.splitlines()[0])).agents
    assert (alone.sudo_argv, alone.sudo_allow) == (("/opt/sudo", "--set-home"), None)


def test_a_list_of_users_has_an_absolute_path(tmp_path):
    with pytest.raises(SettingsError, match="sudo_allow: 'users': expected an absolute path"):
        load_settings(a_file(tmp_path, "agents: {sudo_allow: users}\n"))


def test_the_groups_of_limited_runs_have_an_absolute_path(tmp_path):
    assert load_settings(a_file(tmp_path, "bind: []\n")).agents.cgroup is None
    text = "agents: {cgroup: /sys/fs/cgroup/runs}\n"
    assert load_settings(a_file(tmp_path, text)).agents.cgroup == "/sys/fs/cgroup/runs"
    with pytest.raises(SettingsError, match="cgroup: 'runs': expected an absolute path"):
        load_settings(a_file(tmp_path, "agents: {cgroup: runs}\n"))


def test_a_wrong_call_of_sudo_is_told_once(tmp_path):
    with pytest.raises(SettingsError) as caught:
        load_settings(a_file(tmp_path, "procstar: {agent: {sudo: {argv: [3]}}}\n"))
    assert str(caught.value).count("sudo.argv") == 1


def test_the_agent_of_this_host_abandons_what_the_settings_say(tmp_path):
    text = "agents: {abandon_processes_after: 7d, abandon_results_after: 1.5}\n"
    agents = load_settings(a_file(tmp_path, text)).agents
    assert (agents.abandon_processes_us, agents.abandon_results_us) == (604_800_000_000, 1_500_000)
    never = load_settings(a_file(tmp_path, "agents: {}\n")).agents
    assert (never.abandon_processes_us, never.abandon_results_us) == (None, None)
    with pytest.raises(SettingsError, match="abandon_results_after: 0: expected a duration of"):
        load_settings(a_file(tmp_path, "agents: {abandon_results_after: 0}\n"))


def test_where_secrets_of_jobs_are_is_said_by_a_path_and_a_command(tmp_path):
    text = "agents: {secrets: /etc/s, secrets_command: vault get}\n"
    agents = load_settings(a_file(tmp_path, text)).agents
    assert (agents.secrets, agents.secrets_command) == ("/etc/s", "vault get")
    with pytest.raises(SettingsError, match=r"secrets_command: .*: expected words as of a shell"):
        load_settings(a_file(tmp_path, 'agents: {secrets_command: "a \'b"}\n'))
