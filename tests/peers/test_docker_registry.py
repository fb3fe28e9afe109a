"""docker-registry takes authd's tokens, over TLS: what skopeo, docker, podman and buildah may and may not do there."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.support import PASSWORD
from tests.peers.registry import Site, make_image, running_site


@pytest.fixture(scope="module")
def site(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("registry"), module_database_url) as site:
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


@pytest.mark.parametrize("program", ["podman", "buildah"])
def test_podman_and_buildah_sign_in(site: Site, owner: str, program: str) -> None:
    authfile = str(site.folder / f"{program}.json")
    done = site.run(program, "login", "--authfile", authfile, "-u", owner, "-p", PASSWORD, site.service)
    assert done, done.text
    assert "Login Succeeded" in done.text
    refused = site.run(program, "login", "--authfile", authfile, "-u", owner, "-p", "wrong", site.service)
    assert "invalid username/password" in refused.text


def test_our_own_host(site: Site, owner: str) -> None:
    """`docker login` at authd itself gets as far as at the registry."""
    done = site.run("docker", "login", "-u", owner, "--password-stdin", f"localhost:{site.daemon.port}", stdin=PASSWORD)
    assert done, done.text
