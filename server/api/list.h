/* Lists and pages: rows go out as they arrive, so that an answer of a million rows takes no more memory than one of
 * ten. A short one is answered whole, with its length. */
#pragma once

struct call;

void list_answer(struct call *call);
