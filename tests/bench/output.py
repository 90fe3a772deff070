"""How results are told: a table while they come, or JSON at the end."""

import json


def text_of(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format(value, ",.1f" if abs(value) >= 100 else ",.2f")


class Output:
    def __init__(self, as_json):
        self.as_json, self.results = as_json, {}

    def report(self, name, figures):
        self.results[name] = figures
        if self.as_json:
            return
        print(name)
        for figure, value in figures.items():
            print(f"    {figure:<72} {text_of(value):>12}", flush=True)

    def end(self):
        if self.as_json:
            print(json.dumps(self.results, indent=1))
