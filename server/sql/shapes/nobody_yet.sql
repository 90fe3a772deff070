-- There is no user, but for the one that everyone is when authentication is switched off.
not exists (select from users where lower(email) <> 'local@carbond')
