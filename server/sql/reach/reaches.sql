-- Whether a row `x` is of a project that belongs to the row `who`: by their organisation, or by a project token.
(x.project_id = who.project_id or {belongs})
