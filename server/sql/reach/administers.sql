-- Whether a row `x` is of an organisation that the row `who` is an admin of.
(who.everywhere
 or x.organization_id in (select own.organization_id from memberships own where own.user_id = who.user_id and own.is_admin))
