-- Whether a row `x` is of an organisation that the row `who` is a member of. (Which these are is looked up by the user, who is
-- a member of few; there may be thousands.)
(who.everywhere
 or x.organization_id in (select own.organization_id from memberships own where own.user_id = who.user_id))
