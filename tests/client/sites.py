"""A real server that comes and goes."""

import harness
import ports
from tracker import Tracker


class Site:
    """A server that can be stopped and started again at its address, with a project that a token may write to."""

    def __init__(self, binary, database, *options, authority=None):
        self.binary, self.database, self.options, self.authority = binary, database, options, authority
        self.server = self._serve(ports.free_address())
        self.url = self.server.url
        world = harness.World(self.server)
        self.admin = world.user()
        self.project = world.project(self.admin, world.organization(self.admin))
        self.experiment = world.experiment(self.admin, self.project)["id"]
        self.token = world.project_token(self.admin, self.project)["token"]

    def _serve(self, listen):
        return harness.Server(self.binary, self.database, *self.options, listen=listen, authority=self.authority)

    @property
    def address(self):
        return self.url.split("://")[1]

    def down(self):
        self.server.stop()

    def kill(self):
        self.server.abandon()

    def up(self):
        self.server = self._serve(self.address)

    def admin_client(self):
        return harness.World(self.server).client(bearer=harness.make_jwt(self.admin.id))

    def tracker(self, spool, *, url=None, **more):
        return Tracker(url or self.url, spool, **{"token": self.token, "experiment": self.experiment, **more})

    def ids(self, run):
        return [str(identity) for identity, in
                self.database.query("select id from emissions where run_id = %s order by id", run)]

    def count(self, run):
        return self.database.value("select count(*) from emissions where run_id = %s", run)
