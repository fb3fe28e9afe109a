"""`/getkey/`: the public key with which software verifies what `/checkpassword/` answers (http.md)."""

from authd.errors import InvalidInput, NotFound
from authd.handlers.base import Handler
from authd.identity.addresses import parse_domain
from authd.keys.certificate import pem_lines
from authd.keys.rules import NOT_JWT_ENABLED

NOT_A_DOMAIN = "Not a valid authorization domain"
NO_KEY = "Domain is not JWT enabled"
NO_REGISTRY = "Not a valid registry"


class GetkeyHandler(Handler):
    """GET: `domain` (default: the host's), `type` d or r, `format` pubkey or cert. Always an RSA key."""

    api = True

    async def get(self) -> None:
        try:
            wanted = self.query
        except InvalidInput as error:
            self.write_json(400, {"error": str(error)})
            return
        kind, form = wanted.get("type", "d"), wanted.get("format", "pubkey")
        if not self.is_https:
            self.write_json(400, {"error": "HTTPS is required"})
        elif kind not in ("d", "r"):
            self.write_json(400, {"error": "type is d or r"})
        elif form not in ("pubkey", "cert"):
            self.write_json(400, {"error": "format is pubkey or cert"})
        elif kind == "r":
            await self._answer_registry(wanted.get("domain", ""), form)
        else:
            await self._answer(wanted.get("domain", ""), form)

    async def _answer(self, domain: str, form: str) -> None:
        keys = self.services.keys
        try:
            name = parse_domain(domain) if domain else self.auth_host
            if form == "pubkey":
                self.write_json(200, {"public_key_pem": pem_lines((await keys.jwt_key(name)).public_der, "PUBLIC KEY")})
            else:
                self.write_json(200, {"cert": pem_lines(await keys.certificate(name), "CERTIFICATE")})
        except InvalidInput:
            self.write_json(404, {"error": NOT_A_DOMAIN})
        except NotFound as error:
            self.write_json(404, {"error": NO_KEY if error.code == NOT_JWT_ENABLED else NOT_A_DOMAIN})

    async def _answer_registry(self, service: str, form: str) -> None:
        docker = self.services.docker
        if "\0" in service:
            registry = None
        elif service:
            registry = await docker.registry(service)
        else:
            registry = await docker.registry_of_host(self.client.host.lower(), self.auth_host)
        if registry is None:
            self.write_json(404, {"error": NO_REGISTRY})
            return
        try:
            signer = await docker.signer(registry)
        except NotFound:
            self.write_json(404, {"error": NO_KEY})
        else:
            self.write_json(200, {"public_key_pem": pem_lines(signer.key.public_der, "PUBLIC KEY")} if form == "pubkey"
                            else {"cert": pem_lines(signer.certificate, "CERTIFICATE")})
