-- For signing in: the address in the form that is compared, whoever has it, and if somebody does, the hash to compare with.
select lower(cast(:email as text)), u.id, u.password_hash
  from (values (1)) one left join users u on lower(u.email) = lower(:email) and u.is_active
