-- A user sees themselves, and whoever shares an organisation with them.
(select u.* from users u, {who}
  where who.everywhere
     or u.id = who.user_id
     or u.id in (select other.user_id
                   from memberships mine
                   join memberships other on other.organization_id = mine.organization_id
                  where mine.user_id = who.user_id))
