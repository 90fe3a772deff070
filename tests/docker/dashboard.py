"""docker/grafana/dashboards/carbond.json: its panels, and their questions as Prometheus is asked."""

import json

from engine import ROOT

GRAFANA = ROOT / "docker" / "grafana"
MODEL = json.loads((GRAFANA / "dashboards" / "carbond.json").read_text())
PANELS = [panel for panel in MODEL["panels"] if panel["type"] != "row"]
# What Grafana puts in place of its variables: all organisations, over the last hour.
VARIABLES = {"$organization": ".*", "$__rate_interval": "1m", "$__range": "1h"}


def expressions(panel):
    for target in panel["targets"]:
        text = target["expr"]
        for name, value in VARIABLES.items():
            text = text.replace(name, value)
        assert "$" not in text, text
        yield text
