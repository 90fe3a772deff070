/* Is it alive, is it ready, and what does it speak. */
#pragma once

struct call;

void status_root(struct call *call);
void status_alive(struct call *call);
void status_ready(struct call *call);
void status_specification_json(struct call *call);
void status_specification_yaml(struct call *call);
