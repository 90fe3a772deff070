-- The watermark: emissions before it have been dropped, or will be, and only the sums know of them (0009_retention.sql).
(select kept_from from retention where only_row)
