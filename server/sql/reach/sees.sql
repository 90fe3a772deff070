-- Whether the row `who` may see a row `x` of a project.
(x.public or {reaches})
