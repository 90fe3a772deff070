select outcome, what, removed, next_page from retention_step(:keep::interval, :clock, :address, :page)
