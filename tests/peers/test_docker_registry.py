"""docker-registry takes authd's tokens, over TLS: what skopeo, docker, podman and buildah may and may not do there."""

import base64
import json
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.http.support import PASSWORD
from tests.peers.programs import version
from tests.peers.registry import Answer, Site, make_image, running_site

pytestmark = pytest.mark.peer("Docker Registry", "Skopeo")


@pytest.fixture(scope="module")
def site(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("registry"), module_database_url) as site:
        print("Docker Registry", version("Docker Registry"), "| Skopeo", version("Skopeo"))
        yield site


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_image(tmp_path_factory.mktemp("image") / "layout")


@pytest.fixture(scope="module")
def owner(site: Site, image: str) -> str:
    """Somebody with every right, who has signed in and pushed `app`, `public/app` and `team/app`."""
    name = site.add_user("owner")
    site.allow("--user", name, "--pull", "--push", "--delete", "")
    site.allow("--anonymous", "--pull", "public/*")
    assert site.login(name)
    for repository in ("app", "public/app", "team/app"):
        pushed = site.skopeo("copy", image, site.image(repository), user=name)
        assert pushed, pushed.text
    return name


def test_signing_in(site: Site, owner: str) -> None:
    assert "Login Succeeded" in site.login(owner).text
    refused = site.login(owner, "wrong")
    assert not refused
    assert "invalid username/password" in refused.text
    print(site.logged("http.response.status=200"))


def test_copy_out_inspect_and_list(site: Site, owner: str, tmp_path: Path) -> None:
    copied = site.skopeo("copy", site.image("app"), f"oci:{tmp_path / 'copy'}:1", user=owner)
    assert copied, copied.text
    assert json.loads(site.skopeo("inspect", site.image("app"), user=owner).text)["Architecture"] == "amd64"
    listed = site.skopeo("list-tags", f"docker://{site.service}/app", user=owner)
    assert json.loads(listed.text)["Tags"] == ["1"]


def test_delete(site: Site, owner: str, image: str) -> None:
    assert site.skopeo("copy", image, site.image("short-lived"), user=owner)
    reader = site.add_user("keeper")
    site.allow("--user", reader, "--pull", "--push", "short-lived")
    assert site.login(reader)
    assert not site.skopeo("delete", site.image("short-lived"), user=reader)
    deleted = site.skopeo("delete", site.image("short-lived"), user=owner)
    assert deleted, deleted.text
    assert not site.skopeo("inspect", site.image("short-lived"), user=owner)


def test_a_reader_may_not_push(site: Site, owner: str, image: str) -> None:
    reader = site.add_user("reader")
    site.allow("--user", reader, "--pull", "app")
    assert site.login(reader)
    assert site.skopeo("inspect", site.image("app"), user=reader)
    refused = site.skopeo("copy", image, site.image("app", "2"), user=reader)
    assert not refused
    assert "requested access to the resource is denied" in refused.text
    assert not site.skopeo("inspect", site.image("team/app"), user=reader)


def test_a_mount_across_repositories(site: Site, owner: str) -> None:
    name = site.add_user("mover")
    site.allow("--user", name, "--pull", "app")
    site.allow("--user", name, "--pull", "--push", "moved/*")
    assert site.login(name)
    copied = site.skopeo("copy", site.image("app"), site.image("moved/app"), user=name)
    assert copied, copied.text
    manifest = json.loads(site.skopeo("inspect", "--raw", site.image("moved/app"), user=name).text)
    digest = manifest["layers"][0]["digest"]
    code, answer = site.token(grant_type="password", username=name, password=PASSWORD,
                              scope="repository:moved/other:pull,push repository:app:pull")
    assert (code, answer["scope"]) == (200, "repository:moved/other:pull,push repository:app:pull")
    mounted = site.curl(answer["access_token"], f"https://{site.service}/v2/moved/other/blobs/uploads/?mount={digest}&from=app",
                        "-X", "POST", "-o", "/dev/null", "-w", "%{http_code}")
    assert mounted.text == "201"


def test_nobody_in_particular(site: Site, owner: str, image: str) -> None:
    assert site.skopeo("inspect", site.image("public/app"))
    assert not site.skopeo("inspect", site.image("app"))
    assert not site.skopeo("copy", image, site.image("public/app", "2"))


def test_the_rights_of_a_group_and_of_a_pattern(site: Site, owner: str, image: str) -> None:
    name = site.add_user("member")
    assert site.login(name)
    assert not site.skopeo("inspect", site.image("team/app"), user=name)
    site.authctl.said("group", "create", "team")
    site.allow("--group", "team", "--pull", "--push", "team/*")
    site.authctl.said("permissions", "grant", "membership", "member", "team")
    assert site.skopeo("inspect", site.image("team/app"), user=name)
    assert site.skopeo("copy", image, site.image("team/new"), user=name)
    assert not site.skopeo("copy", image, site.image("teams/new"), user=name)


def test_the_catalog(site: Site, owner: str) -> None:
    code, answer = site.token(grant_type="password", username=owner, password=PASSWORD, scope="registry:catalog:*")
    assert code == 200
    found = site.curl(answer["access_token"], f"https://{site.service}/v2/_catalog")
    assert "public/app" in json.loads(found.text)["repositories"]


@pytest.mark.parametrize(("header", "status"), [("x5c", "200"), ("libtrust-kid", "200"), ("rfc7638-kid", "401")])
def test_token_headers(site: Site, owner: str, header: str, status: str) -> None:
    """As the manual's table has it for 2.x."""
    site.authctl.said("dockerauth", "registry", "edit", "--client-id", site.service, "--token-header", header)
    try:
        token = site.token(grant_type="password", username=owner, password=PASSWORD)[1]["access_token"]
        shown = site.curl(token, f"https://{site.service}/v2/", "-o", "/dev/null", "-w", "%{http_code}")
        assert shown.text == status
    finally:
        site.authctl.said("dockerauth", "registry", "edit", "--client-id", site.service, "--token-header", "x5c")


def test_a_domain_with_an_ec_key(database_url: str, tmp_path: Path, image: str) -> None:
    with running_site(tmp_path, database_url, "ES256") as site:
        name = site.add_user("owner")
        site.allow("--user", name, "--pull", "--push", "app")
        assert site.login(name)
        pushed = site.skopeo("copy", image, site.image("app"), user=name)
        assert pushed, pushed.text
        assert site.skopeo("inspect", site.image("app"), user=name)


@pytest.mark.peer("Docker CLI", "Docker Registry", "Skopeo")
def test_docker_login_keeps_an_identity_token_that_dies_with_the_account(site: Site, owner: str) -> None:
    name = site.add_user("captain")
    site.allow("--user", name, "--pull", "app")
    done = site.run("docker", "login", "-u", name, "--password-stdin", site.service, stdin=PASSWORD)
    assert done, done.text
    stored = json.loads((site.home("docker") / "docker" / "config.json").read_text())["auths"][site.service]
    token = stored["identitytoken"]
    assert base64.b64decode(stored["auth"]).decode().rstrip(":\0") == name
    shown = site.run("docker", "manifest", "inspect", f"{site.service}/app:1")
    assert shown, shown.text
    fields = {"grant_type": "refresh_token", "refresh_token": token, "scope": "repository:app:pull"}
    assert site.token(**fields)[1]["scope"] == "repository:app:pull"
    assert site.login(name)
    site.authctl.said("user", "deactivate", "captain", "-y")
    assert site.token(**fields)[0] == 401
    assert not site.run("docker", "manifest", "inspect", f"{site.service}/app:1")
    assert not site.skopeo("inspect", site.image("app"), user=name)
    assert not site.login(name)
    site.authctl.said("user", "activate", "captain")
    assert site.token(**fields)[0] == 401


@pytest.mark.peer("Docker CLI", "Docker Registry", "Skopeo")
def test_what_ends_an_identity_token(site: Site, owner: str) -> None:
    """A new password, the end of the service user it was made with, and an administrator's word."""
    name = site.add_user("sailor")
    site.allow("--user", name, "--pull", "app")
    site.authctl.said("serviceuser", "create", "--user", name, "--username", "ship", "--password", PASSWORD)
    for login, password, words in (
            (name, PASSWORD, ["user", "edit", name, "--set-password", "something else entirely"]),
            ("ship", PASSWORD, ["serviceuser", "remove", "ship", "-y"]),
            (name, "something else entirely", ["dockerauth", "sign-out", "--user", name])):
        done = site.run("docker", "login", "-u", login, "--password-stdin", site.service, stdin=password)
        assert done, done.text
        assert site.run("docker", "manifest", "inspect", f"{site.service}/app:1")
        site.authctl.said(*words)
        refused = site.run("docker", "manifest", "inspect", f"{site.service}/app:1")
        assert not refused, words
        assert "unauthorized" in refused.text


def test_a_service_user_signs_in_for_its_account(site: Site, owner: str, image: str) -> None:
    name = site.add_user("builder")
    site.allow("--user", name, "--pull", "--push", "builds/*")
    site.authctl.said("serviceuser", "create", "--user", name, "--username", "ci", "--password", PASSWORD)
    assert site.login("ci")
    assert site.skopeo("copy", image, site.image("builds/app"), user="ci")
    refused = site.skopeo("copy", image, site.image("app", "2"), user="ci")
    assert "requested access to the resource is denied" in refused.text
    site.authctl.said("user", "deactivate", name, "-y")
    assert not site.skopeo("inspect", site.image("builds/app"), user="ci")


def test_a_right_that_is_taken_away(site: Site, owner: str) -> None:
    name = site.add_user("guest")
    site.allow("--user", name, "--pull", "app")
    assert site.login(name)
    assert site.skopeo("inspect", site.image("app"), user=name)
    site.authctl.said("dockerauth", "deny", "--user", name, f"{site.service}:app")
    assert not site.skopeo("inspect", site.image("app"), user=name)


@pytest.mark.peer("Docker CLI", "Docker Registry", "Skopeo")
def test_who_guesses_has_to_wait(site: Site, owner: str) -> None:
    name = site.add_user("victim")
    for number in range(10):
        assert site.token(grant_type="password", username=name, password=f"guess {number}")[0] == 401
    begin = time.monotonic()
    done = site.run("docker", "login", "-u", name, "--password-stdin", site.service, stdin=PASSWORD)
    if time.monotonic() - begin < 1:  # the wait is 2 s
        assert "too many failed attempts" in done.text
    assert site.login(owner)


def test_half_open_connections_block_nobody(site: Site, owner: str) -> None:
    """TCP without TLS, TLS without a request: neither keeps the others waiting."""
    context = ssl.create_default_context(cafile=str(site.authority.ca_file))
    with ExitStack() as connections:
        for number in range(20):
            plain = connections.enter_context(socket.create_connection(("127.0.0.1", site.daemon.port), 5))
            if number % 2:
                connections.enter_context(context.wrap_socket(plain, server_hostname="localhost"))
        begin = time.monotonic()
        assert site.login(owner)
        assert time.monotonic() - begin < 10


@pytest.fixture
def runroot() -> Iterator[str]:
    """podman wants less than 50 characters."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield folder


@pytest.mark.peer("Podman", "Buildah", "Docker Registry")
@pytest.mark.parametrize("program", ["podman", "buildah"])
def test_podman_and_buildah(site: Site, owner: str, tmp_path: Path, runroot: str, program: str) -> None:
    """They build an image of one file, push it and pull it again; a reader may pull and not push."""
    print(program, version(program.capitalize()))
    reader = site.add_user(f"reads-{program}")
    site.allow("--user", reader, "--pull", f"team/{program}")
    (tmp_path / "Containerfile").write_text("FROM scratch\nCOPY hello /hello\n", encoding="utf-8")
    (tmp_path / "hello").write_text("hello", encoding="utf-8")
    (tmp_path / "nobody.json").write_text("{}", encoding="utf-8")
    name = f"{site.service}/team/{program}"

    def run(*arguments: str) -> Answer:
        """With storage that needs no privileges of the kernel's."""
        return site.run(program, "--storage-driver", "vfs", "--root", str(tmp_path / "root"), "--runroot", runroot, *arguments)

    def login(user: str, password: str = PASSWORD) -> Answer:
        return run("login", "--authfile", authfile(user), "-u", user, "-p", password, site.service)

    def authfile(user: str) -> str:
        return str(tmp_path / f"{user}.json")

    done = login(owner)
    assert "Login Succeeded" in done.text
    assert "invalid username/password" in login(owner, "wrong").text
    assert login(reader)
    for verb in (["build", "--isolation", "chroot", "-t", f"{name}:1", str(tmp_path)],
                 ["push", "--authfile", authfile(owner), f"{name}:1"], ["rmi", f"{name}:1"],
                 ["pull", "--authfile", authfile(reader), f"{name}:1"], ["tag", f"{name}:1", f"{name}:2"]):
        done = run(*verb)
        assert done, f"{verb}: {done.text}"
    refused = run("push", "--authfile", authfile(reader), f"{name}:2")
    assert not refused
    assert "requested access to the resource is denied" in refused.text
    assert "unauthorized" in run("pull", "--authfile", authfile("nobody"), f"{site.service}/app:1").text
    print(site.logged(f"team/{program}/manifests/1"))


def test_our_own_host(site: Site, owner: str) -> None:
    """`docker login` at authd itself gets as far as at the registry."""
    done = site.run("docker", "login", "-u", owner, "--password-stdin", f"localhost:{site.daemon.port}", stdin=PASSWORD)
    assert done, done.text
